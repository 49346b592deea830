//! The passwords of the database settings: from the environment or from a file, never from the command line.

use std::convert::Infallible;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::database_url;
use crate::secret::{self, Unprinted};

/// What Supabase's console shows in place of the password.
pub(super) const PASSWORD_PLACEHOLDER: &str = ":[YOUR-PASSWORD]@";

/// The password of a connection.
#[derive(Clone, Copy)]
pub(super) enum Password<'a> {
    /// That of a setting.
    Set(&'a SecretString),
    /// None is set.
    Missing,
    /// It is got when a connection is opened.
    ShortLived,
}

/// The passwords. The hidden flags are those of earlier versions: they refuse their value with a message of their own.
#[derive(Clone, Debug, Args)]
pub(super) struct PasswordArgs {
    /// File with the password (local), which is else in POSTGRES_PASSWORD.
    #[arg(long, env, value_name = "FILE", value_parser = secret::file, global = true, help_heading = "Database")]
    postgres_password_file: Option<SecretString>,
    #[arg(skip = secret::variable("POSTGRES_PASSWORD"))]
    postgres_password: Option<SecretString>,
    #[arg(
        long = "postgres-password",
        value_parser = Unprinted(|_| refuse("POSTGRES_PASSWORD", "--postgres-password-file")),
        allow_hyphen_values = true,
        hide = true,
        global = true
    )]
    refused_postgres_password: Option<Infallible>,
    /// File with the password (supabase), which is else in SUPABASE_PASSWORD.
    #[arg(long, env, value_name = "FILE", value_parser = secret::file, global = true, help_heading = "Database")]
    supabase_password_file: Option<SecretString>,
    #[arg(skip = secret::variable("SUPABASE_PASSWORD"))]
    supabase_password: Option<SecretString>,
    #[arg(
        long = "supabase-password",
        value_parser = Unprinted(|_| refuse("SUPABASE_PASSWORD", "--supabase-password-file")),
        allow_hyphen_values = true,
        hide = true,
        global = true
    )]
    refused_supabase_password: Option<Infallible>,
    /// File with the password (rds), which is else in RDS_PASSWORD.
    #[arg(long, env, value_name = "FILE", value_parser = secret::file, global = true, help_heading = "Database")]
    rds_password_file: Option<SecretString>,
    #[arg(skip = secret::variable("RDS_PASSWORD"))]
    rds_password: Option<SecretString>,
    #[arg(
        long = "rds-password",
        value_parser = Unprinted(|_| refuse("RDS_PASSWORD", "--rds-password-file")),
        allow_hyphen_values = true,
        hide = true,
        global = true
    )]
    refused_rds_password: Option<Infallible>,
}

impl PasswordArgs {
    pub(super) fn local(&self) -> Option<&SecretString> {
        secret::of_file_or_variable(&self.postgres_password_file, &self.postgres_password)
    }

    pub(super) fn supabase(&self) -> Option<&SecretString> {
        secret::of_file_or_variable(&self.supabase_password_file, &self.supabase_password)
    }

    pub(super) fn rds(&self) -> Option<&SecretString> {
        secret::of_file_or_variable(&self.rds_password_file, &self.rds_password)
    }

    /// The variables for a child process. The names of the files are empty: the child must not read a file that it
    /// inherits the name of.
    pub(super) fn environment(&self) -> [(&'static str, Option<String>); 6] {
        let exposed = |secret: Option<&SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
        [
            ("POSTGRES_PASSWORD_FILE", Some(String::new())),
            ("POSTGRES_PASSWORD", exposed(self.local())),
            ("SUPABASE_PASSWORD_FILE", Some(String::new())),
            ("SUPABASE_PASSWORD", exposed(self.supabase())),
            ("RDS_PASSWORD_FILE", Some(String::new())),
            ("RDS_PASSWORD", exposed(self.rds())),
        ]
    }
}

/// Whether a URL has a password. The placeholder of Supabase is none.
pub(super) fn has_password(url: &str) -> bool {
    database_url::has_password(&url.replace(PASSWORD_PLACEHOLDER, "@"))
}

fn refuse(variable: &str, flag: &str) -> Result<Infallible, String> {
    Err(format!(
        "all users of this machine could read the password: set {variable} in the environment or in .env, or name a \
         file in {flag}"
    ))
}
