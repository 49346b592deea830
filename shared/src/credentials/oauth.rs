//! Access tokens by the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4).

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow, bail, ensure};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RequestTokenError, Scope, TokenResponse, TokenUrl,
    basic::BasicClient,
};
use secrecy::{ExposeSecret, SecretString};
use ureq::{
    Agent,
    http::StatusCode,
    tls::{Certificate, RootCerts, TlsConfig},
};
use url::Url;

use super::token::Token;
use crate::{
    secret,
    tls::{crypto_provider, is_this_machine, system_authorities},
};

/// Without `expires_in` in the answer. The standard recommends to send it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The client that asks for tokens. PostgreSQL and Kafka use the same, each with a scope of its own.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    token_url: Url,
    client_id: String,
    client_secret: SecretString,
    authorities: Option<PathBuf>,
}

impl OAuthClient {
    /// Reads `OAUTH_TOKEN_URL`, `OAUTH_CLIENT_ID`, `OAUTH_CLIENT_SECRET` (or `OAUTH_CLIENT_SECRET_FILE`) and `OAUTH_CA`.
    ///
    /// # Errors
    /// When one that is required is missing, or is not valid. The message has no value.
    pub fn from_environment() -> anyhow::Result<Self> {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (url, client_id) = (text("OAUTH_TOKEN_URL"), text("OAUTH_CLIENT_ID"));
        let secret_file = text("OAUTH_CLIENT_SECRET_FILE").map(|path| secret::file(&path));
        let secret_file = secret_file.transpose().map_err(|message| anyhow!("OAUTH_CLIENT_SECRET_FILE: {message}"))?;
        let client_secret = secret_file.or_else(|| secret::variable("OAUTH_CLIENT_SECRET"));
        let (Some(url), Some(client_id), Some(client_secret)) = (&url, &client_id, &client_secret) else {
            let is_set = [
                ("OAUTH_TOKEN_URL", url.is_some()),
                ("OAUTH_CLIENT_ID", client_id.is_some()),
                ("OAUTH_CLIENT_SECRET", client_secret.is_some()),
            ];
            let missing: Vec<_> = is_set.into_iter().filter(|(_, is_set)| !is_set).map(|(name, _)| name).collect();
            bail!("OAuth is selected, but not set: {}", missing.join(", "))
        };
        Ok(Self {
            token_url: token_url(url)?,
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            authorities: text("OAUTH_CA").map(PathBuf::from),
        })
    }

    /// The settings for a child process, with the secret.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let authorities = self.authorities.as_ref().map(|path| path.display().to_string());
        vec![
            ("OAUTH_TOKEN_URL", self.token_url.to_string()),
            ("OAUTH_CLIENT_ID", self.client_id.clone()),
            ("OAUTH_CLIENT_SECRET", self.client_secret.expose_secret().to_owned()),
            ("OAUTH_CLIENT_SECRET_FILE", String::new()),
            ("OAUTH_CA", authorities.unwrap_or_default()),
        ]
    }

    /// The settings of librdkafka by which it asks for tokens itself, with the secret.
    pub fn librdkafka(&self, scope: Option<&str>) -> Vec<(&'static str, String)> {
        let authorities = self.authorities.as_ref().map(|path| path.display().to_string());
        let all = [
            ("sasl.oauthbearer.method", Some("oidc".to_owned())),
            ("sasl.oauthbearer.client.id", Some(self.client_id.clone())),
            ("sasl.oauthbearer.client.secret", Some(self.client_secret.expose_secret().to_owned())),
            ("sasl.oauthbearer.token.endpoint.url", Some(self.token_url.to_string())),
            ("sasl.oauthbearer.scope", scope.map(ToOwned::to_owned)),
            ("https.ca.location", authorities),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// When the server does not answer within 10 s, or refuses.
    pub(super) async fn token(&self, scope: Option<&str>) -> anyhow::Result<Token> {
        let (client, scope) = (self.clone(), scope.map(ToOwned::to_owned));
        let issued_at = SystemTime::now();
        tokio::task::spawn_blocking(move || client.request(scope, issued_at)).await?
    }

    fn request(&self, scope: Option<String>, issued_at: SystemTime) -> anyhow::Result<Token> {
        let agent = self.agent()?;
        let client = BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_client_secret(ClientSecret::new(self.client_secret.expose_secret().to_owned()))
            .set_token_uri(TokenUrl::from_url(self.token_url.clone()))
            .set_auth_type(AuthType::BasicAuth);
        let request = client.exchange_client_credentials().add_scopes(scope.map(Scope::new));
        let answer = request.request(&|request| send(&agent, request)).map_err(|error| self.failure(error))?;
        let lifetime = answer.expires_in().unwrap_or(DEFAULT_LIFETIME);
        Ok(Token::new(answer.access_token().secret().as_str().into(), issued_at, lifetime))
    }

    fn failure<Refusal: oauth2::ErrorResponse>(&self, error: RequestTokenError<ureq::Error, Refusal>) -> anyhow::Error {
        let host = self.token_url.host_str().unwrap_or_default();
        match error {
            RequestTokenError::ServerResponse(refusal) => anyhow!("{host} refuses: {refusal}"),
            RequestTokenError::Request(error) => {
                anyhow!("{host} gives no token: {error}: check OAUTH_TOKEN_URL, and OAUTH_CA for its certificate")
            }
            // The answer may contain a token.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                anyhow!("the answer of {host} is no access token (RFC 6749, section 5.1): check OAUTH_TOKEN_URL")
            }
        }
    }

    fn agent(&self) -> anyhow::Result<Agent> {
        let authorities = match &self.authorities {
            Some(path) => {
                let pem = std::fs::read(path).with_context(|| format!("OAUTH_CA: {} can't be read", path.display()))?;
                let found: Result<Vec<_>, _> = ureq::tls::parse_pem(&pem).collect();
                let found = found.ok().into_iter().flatten().filter_map(|item| match item {
                    ureq::tls::PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                });
                let found: Vec<Certificate<'static>> = found.collect();
                ensure!(!found.is_empty(), "OAUTH_CA: {} has no certificate", path.display());
                found
            }
            None => system_authorities().iter().map(|one| Certificate::from_der(one).to_owned()).collect(),
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&authorities))
            .unversioned_rustls_crypto_provider(crypto_provider())
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            // A redirect would pass the secret on to another server.
            .max_redirects(0)
            .tls_config(tls);
        Ok(Agent::new_with_config(config.build()))
    }

    /// Identifies the token: the same text makes an equivalent one.
    pub(super) fn identity(&self, scope: Option<&str>) -> String {
        format!("oauth {} {} {}", self.token_url, self.client_id, scope.unwrap_or_default())
    }
}

fn send(agent: &Agent, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let (parts, mut body) = agent.run(request)?.into_parts();
    // What refuses the client has a body by the standard; these have any.
    if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
        return Err(ureq::Error::StatusCode(parts.status.as_u16()));
    }
    Ok(HttpResponse::from_parts(parts, body.read_to_vec()?))
}

/// A URL by TLS, or one of this machine.
fn token_url(text: &str) -> anyhow::Result<Url> {
    // The error has no part of the URL, which may have a password.
    let url = Url::parse(text).ok().context("OAUTH_TOKEN_URL is not a URL: write https://HOST/PATH")?;
    let host = url.host_str().unwrap_or_default();
    let is_local = is_this_machine(host.trim_matches(['[', ']']));
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_local => Ok(url),
        "http" => bail!("OAUTH_TOKEN_URL would send the client secret without encryption: write https://"),
        _ => bail!("OAUTH_TOKEN_URL is not a URL of HTTP: write https://HOST/PATH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_sent_by_tls_or_to_this_machine_only() {
        for url in ["https://login.example.com/token", "http://localhost:1/token", "http://[::1]:1/token"] {
            assert!(token_url(url).is_ok(), "{url}");
        }
        for (url, expected) in [
            ("http://login.example.com/token", "without encryption"),
            ("ftp://localhost/token", "https://HOST/PATH"),
            ("login.example.com", "is not a URL"),
        ] {
            let message = token_url(url).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
