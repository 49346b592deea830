use std::time::Duration;

use anyhow::Context;

use super::{command::PasswordCommand, oauth::OAuthClient, rds_iam::RdsIam, token::Token};

/// Of a new token.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where tokens come from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// `RDS_IAM`.
    RdsIam(RdsIam),
    /// `POSTGRES_PASSWORD_COMMAND`.
    Command(PasswordCommand),
    /// `DB_OAUTH`, with the scope.
    OAuth(OAuthClient, Option<String>),
}

impl TokenSource {
    /// The setting that selects this source.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::RdsIam(_) => "RDS_IAM",
            Self::Command(_) => "POSTGRES_PASSWORD_COMMAND",
            Self::OAuth(..) => "DB_OAUTH",
        }
    }

    /// Gets a new token.
    ///
    /// # Errors
    /// When the source fails, or takes longer than 15 s. The message begins with the setting.
    pub(super) async fn token(&self) -> anyhow::Result<Token> {
        let getting = async {
            match self {
                // Boxed: the futures of AWS's client are nested more deeply than the compiler follows.
                Self::RdsIam(rds) => Box::pin(rds.token()).await,
                Self::Command(command) => command.token().await,
                Self::OAuth(client, scope) => client.token(scope.as_deref()).await,
            }
        };
        let setting = self.setting();
        let token = tokio::time::timeout(TIMEOUT, getting).await;
        token.with_context(|| format!("{setting}: no password within {TIMEOUT:?}"))?.with_context(|| setting.to_owned())
    }

    /// Identifies the password among those of all sources.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::RdsIam(rds) => rds.identity(),
            Self::Command(command) => command.identity(),
            Self::OAuth(client, scope) => client.identity(scope.as_deref()),
        }
    }
}
