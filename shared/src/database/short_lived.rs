//! The settings of passwords that are valid for a short time.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, builder::FalseyValueParser};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Config, config::Host};

use super::types::non_empty;
use crate::{
    credentials::{OAuthClient, PasswordCommand, RdsIam, TokenCache, TokenSource, TokenStore},
    program::positive_duration,
    secret::UrlParser,
};

/// At most one of the three sources may be set.
#[derive(Clone, Debug, Args)]
pub(super) struct ShortLivedArgs {
    /// Use a token of AWS as the password: RDS with IAM authentication.
    #[arg(long, env, value_parser = FalseyValueParser::new(), global = true, help_heading = "Database")]
    rds_iam: bool,
    /// Region of the RDS server; else that of its name, else AWS_REGION.
    #[arg(long, env, global = true, help_heading = "Database")]
    rds_region: Option<String>,
    /// Use the output of this shell command as the password, for any DB_TYPE.
    #[arg(long, env, hide_env_values = true, value_name = "COMMAND", global = true, help_heading = "Database")]
    postgres_password_command: Option<SecretString>,
    /// How long the output of the command is valid.
    #[arg(
        long,
        env,
        default_value = "5m",
        value_parser = positive_duration,
        value_name = "DURATION",
        global = true,
        help_heading = "Database"
    )]
    postgres_password_ttl: Duration,
    /// Use an access token by OAuth as the password. OAUTH_TOKEN_URL, OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET, or
    /// OAUTH_CLIENT_SECRET_FILE, are in the environment or in .env.
    #[arg(long, env, value_parser = FalseyValueParser::new(), global = true, help_heading = "Database")]
    db_oauth: bool,
    /// Scope of the access token.
    #[arg(long, env, global = true, help_heading = "Database")]
    db_oauth_scope: Option<String>,
    /// Redis that shares short-lived passwords between instances, each until it expires; redis:// or rediss://.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser {
            instead: "set DB_TOKEN_REDIS_URL in the environment or in .env",
            has_password: crate::cache::has_password,
        },
        value_name = "URL",
        global = true,
        help_heading = "Database"
    )]
    db_token_redis_url: Option<SecretString>,
}

impl ShortLivedArgs {
    /// The settings that select a source.
    fn selected(&self) -> Vec<&'static str> {
        let sources = [
            ("RDS_IAM", self.rds_iam),
            ("POSTGRES_PASSWORD_COMMAND", non_empty(&self.postgres_password_command).is_some()),
            ("DB_OAUTH", self.db_oauth),
        ];
        sources.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    /// Whether a source is selected.
    pub(super) fn is_set(&self) -> bool {
        !self.selected().is_empty()
    }

    /// The cache of the passwords for a server, when a source is selected.
    ///
    /// # Errors
    /// When several sources are selected, or one beside a password, or a setting of the source is missing.
    pub(super) fn passwords(&self, config: &Config) -> anyhow::Result<Option<Arc<TokenCache>>> {
        let source = match self.selected()[..] {
            [] => return Ok(None),
            [name] if config.get_password().is_some() => {
                bail!("both {name} and a password (of a URL, a variable or a file) are set: remove one of them")
            }
            ["RDS_IAM"] => TokenSource::RdsIam(self.rds_iam(config)?),
            ["DB_OAUTH"] => {
                let scope = self.db_oauth_scope.clone().filter(|scope| !scope.is_empty());
                TokenSource::OAuth(OAuthClient::from_environment()?, scope)
            }
            [_] => {
                let command = self.postgres_password_command.clone().unwrap_or_default();
                TokenSource::Command(PasswordCommand::new(command, self.postgres_password_ttl, account(config)))
            }
            ref several => bail!("only one can be set of: {}", several.join(", ")),
        };
        let store = non_empty(&self.db_token_redis_url).map(TokenStore::new).transpose()?;
        Ok(Some(Arc::new(TokenCache::new(source, store))))
    }

    fn rds_iam(&self, config: &Config) -> anyhow::Result<RdsIam> {
        let [Host::Tcp(host)] = config.get_hosts() else {
            bail!("RDS_IAM needs the name of one server: a token is signed for its name")
        };
        let user = config.get_user().filter(|user| !user.is_empty()).context("RDS_IAM needs the name of a user")?;
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let region = self.rds_region.clone().filter(|region| !region.is_empty());
        Ok(RdsIam::new(host.clone(), port, user.to_owned(), region))
    }

    /// The variables for a child process, with the secrets.
    pub(super) fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        let mut all = vec![
            ("RDS_IAM", Some(self.rds_iam.to_string())),
            ("RDS_REGION", self.rds_region.clone()),
            ("POSTGRES_PASSWORD_COMMAND", exposed(&self.postgres_password_command)),
            ("POSTGRES_PASSWORD_TTL", Some(humantime::format_duration(self.postgres_password_ttl).to_string())),
            ("DB_OAUTH", Some(self.db_oauth.to_string())),
            ("DB_OAUTH_SCOPE", self.db_oauth_scope.clone()),
            ("DB_TOKEN_REDIS_URL", exposed(&self.db_token_redis_url)),
        ];
        if self.db_oauth
            && let Ok(client) = OAuthClient::from_environment()
        {
            all.extend(client.environment().into_iter().map(|(name, value)| (name, Some(value))));
        }
        all
    }
}

/// Whose password it is.
fn account(config: &Config) -> String {
    let (hosts, ports) = (config.get_hosts(), config.get_ports());
    format!("{:?} {hosts:?} {ports:?}", config.get_user())
}
