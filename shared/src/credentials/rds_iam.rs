use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use url::Url;

use super::token::Token;

/// How long RDS accepts a token for new connections.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Tokens for a user of an RDS database with IAM authentication. They are signed here, without a request, by the
/// credentials that AWS's own tools find: environment, profile, web identity, ECS, EC2.
#[derive(Clone, Debug)]
pub struct RdsIam {
    host: String,
    port: u16,
    user: String,
    region: Option<String>,
}

impl RdsIam {
    /// For `user` at the server's own name and port, which the token is valid for. Without a region, it is that of the
    /// host's name, else that of AWS's settings.
    pub fn new(host: String, port: u16, user: String, region: Option<String>) -> Self {
        let region = region.or_else(|| region_of(&host).map(ToOwned::to_owned));
        Self { host, port, user, region }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When there are no credentials or no region.
    pub(super) async fn token(&self) -> anyhow::Result<Token> {
        let config = self.config().await;
        let region = config.region().context("no region: set RDS_REGION, or AWS_REGION")?;
        let provider = config.credentials_provider().context("no credentials of AWS")?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.context("no credentials of AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role")?;
        self.sign(credentials, region.as_ref(), SystemTime::now())
    }

    async fn config(&self) -> SdkConfig {
        let client =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
        match &self.region {
            Some(region) => loader.region(Region::new(region.clone())).load().await,
            None => loader.load().await,
        }
    }

    fn sign(&self, credentials: Credentials, region: &str, now: SystemTime) -> anyhow::Result<Token> {
        let lifetime =
            credentials.expiry().map_or(LIFETIME, |end| LIFETIME.min(end.duration_since(now).unwrap_or_default()));
        let mut url = Url::parse(&format!("https://{}:{}/", self.host, self.port)).context("the host has no URL")?;
        url.query_pairs_mut().append_pair("Action", "connect").append_pair("DBUser", &self.user);
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(LIFETIME);
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("rds-db")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::empty())?;
        let (instructions, _) =
            sign(request, &parameters).map_err(|error| anyhow!("signing failed: {error}"))?.into_parts();
        for (name, value) in instructions.params() {
            url.query_pairs_mut().append_pair(name, value);
        }
        // The server compares the text, in which a space is %20.
        let token = url[url::Position::BeforeHost..].replace('+', "%20");
        Ok(Token::new(token.into(), now, lifetime))
    }

    /// Identifies the token: the same text makes an equivalent one.
    pub(super) fn identity(&self) -> String {
        format!("rds-iam {}:{} {} {:?}", self.host, self.port, self.user, self.region)
    }
}

/// The region in the name of an RDS server: `NAME.ID.REGION.rds.amazonaws.com`, or `….amazonaws.com.cn`.
fn region_of(host: &str) -> Option<&str> {
    let (name, _) = host.split_once(".rds.amazonaws.com")?;
    name.rsplit_once('.').map(|(_, region)| region)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// 2024-08-27T00:00:00Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_724_716_800)
    }

    fn token(user: &str, session: Option<&str>, expiry: Option<SystemTime>) -> Token {
        let host = "prod-instance.us-east-1.rds.amazonaws.com".to_owned();
        let credentials = Credentials::new("akid", "secret", session.map(ToOwned::to_owned), expiry, "test");
        RdsIam::new(host, 3306, user.to_owned(), None).sign(credentials, "us-east-1", now()).unwrap()
    }

    /// The tokens of botocore 1.43.11 for the same time (`generate_db_auth_token`).
    #[test]
    fn a_token_is_that_of_the_aws_sdks() {
        let expected = "prod-instance.us-east-1.rds.amazonaws.com:3306/?Action=connect&DBUser=peccy\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=akid%2F20240827%2Fus-east-1%2Frds-db%2Faws4_request\
             &X-Amz-Date=20240827T000000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=c597c62a87de9174280571cea67bcecbaf0c0a979cff151de675c35276ff4e20";
        assert_eq!(token("peccy", None, None).secret().expose_secret(), expected);
        let session = token("a user+b", Some("session/token"), None);
        let text = session.secret().expose_secret();
        for part in [
            "/?Action=connect&DBUser=a%20user%2Bb&",
            "&X-Amz-Security-Token=session%2Ftoken",
            "&X-Amz-Signature=0858aa13678a1c093330b83aa741827ff72c904328aed418aaff0a22dda8dd20",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_token_ends_with_the_credentials_that_signed_it() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(token("me", None, None).time_left(now()), minutes(15));
        assert_eq!(token("me", None, Some(now() + minutes(5))).time_left(now()), minutes(5));
    }

    #[test]
    fn the_region_is_part_of_the_name_of_a_server() {
        assert_eq!(region_of("db.abc123.ap-northeast-2.rds.amazonaws.com"), Some("ap-northeast-2"));
        assert_eq!(region_of("db.abc123.cn-north-1.rds.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!(region_of("db.example.com"), None);
    }
}
