use std::{fmt, str::FromStr, time::Duration};

use anyhow::ensure;
use clap::Args;
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT};
use url::Url;

use crate::secret::Unprinted;

/// Timeout of a request to the collector, if no variable sets it. The exporter's own default is 10 s.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Where spans are exported to.
#[derive(Clone, Debug, Args)]
pub struct TraceExportSettings {
    /// Export the spans of sampled orders to an OpenTelemetry collector at this address, such as
    /// http://127.0.0.1:4318, by OTLP over HTTP. Without it, nothing is traced.
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true,
        value_name = "URL",
        value_parser = Unprinted(collector_url),
        help_heading = "Telemetry"
    )]
    pub otlp_endpoint: Option<CollectorUrl>,
}

impl TraceExportSettings {
    /// The URL that accepts spans; `None` when nothing is exported.
    pub fn collector(&self) -> Option<&Url> {
        self.otlp_endpoint.as_ref()?.0.as_ref()
    }
}

/// Timeout of a request to the collector, in milliseconds in a `variable` of OpenTelemetry.
///
/// # Errors
/// When the variable is not a number of milliseconds above 0.
pub(super) fn request_timeout(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Duration> {
    let names = [OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT];
    let set = names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
    let Some((name, value)) = set else { return Ok(DEFAULT_REQUEST_TIMEOUT) };
    let millis: u64 = value.parse().unwrap_or_default();
    ensure!(millis > 0, "{name} is a number of milliseconds above 0, not '{value}'");
    Ok(Duration::from_millis(millis))
}

/// The URL of a collector, with the path for spans. An empty text means that there is none. `Debug` shows scheme, host
/// and port alone: a query may have a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CollectorUrl(Option<Url>);

impl fmt::Debug for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CollectorUrl").field(&self.0.as_ref().map(address)).finish()
    }
}

/// Scheme, host and port of a collector, for messages.
pub(super) fn address(collector: &Url) -> String {
    collector.origin().ascii_serialization()
}

fn collector_url(text: &str) -> Result<CollectorUrl, String> {
    text.parse().map_err(|error: InvalidCollectorUrl| error.to_string())
}

/// The text is not the URL of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCollectorUrl {
    /// It is not an HTTP URL.
    #[error("the address of a collector is http://HOST:PORT or https://HOST:PORT")]
    Form,
    /// Other users of the machine could read it.
    #[error("it has a user or a password: set OTEL_EXPORTER_OTLP_HEADERS instead")]
    Credentials,
}

/// Path of the spans below the address of a collector.
const TRACES_PATH: &str = "/v1/traces";

impl FromStr for CollectorUrl {
    type Err = InvalidCollectorUrl;

    fn from_str(text: &str) -> Result<Self, InvalidCollectorUrl> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let mut url = Url::parse(text).map_err(|_| InvalidCollectorUrl::Form)?;
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
            return Err(InvalidCollectorUrl::Form);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidCollectorUrl::Credentials);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if !path.ends_with(TRACES_PATH) {
            url.set_path(&(path + TRACES_PATH));
        }
        Ok(Self(Some(url)))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCommand {
        #[command(flatten)]
        traces: TraceExportSettings,
    }

    #[test]
    fn a_secret_in_the_url_of_a_collector_is_not_printed() {
        for url in ["http://me:hunter2@host:4318", "https://host:hunter2", "hunter2"] {
            for arguments in [&["--otlp-endpoint", url][..], &[&format!("--otlp-endpoint={url}")]] {
                let error = TestCommand::try_parse_from(["test"].iter().chain(arguments)).unwrap_err();
                let message = error.to_string();
                assert_eq!(error.exit_code(), 2);
                assert!(message.contains("--otlp-endpoint") && !message.contains("hunter2"), "{message}");
            }
        }
        let arguments = ["test", "--otlp-endpoint", "https://host/otlp?key=hunter2"];
        let command = TestCommand::try_parse_from(arguments).unwrap();
        assert_eq!(command.traces.collector().map(Url::query), Some(Some("key=hunter2")), "it is used");
        assert!(!format!("{command:?}").contains("hunter2"));
        assert_eq!(command.traces.collector().map(address).as_deref(), Some("https://host"));
        let endpoint = TestCommand::command();
        let endpoint = endpoint.get_arguments().find(|argument| argument.get_id() == "otlp_endpoint").unwrap();
        assert!(endpoint.is_hide_env_values_set());
    }

    #[test]
    fn the_timeout_of_a_request_is_that_of_the_variable_for_traces_or_for_all_signals() {
        let timeout = |values: [Option<&str>; 2]| {
            let names = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
            request_timeout(|name| {
                let (_, value) = names.into_iter().zip(values).find(|(known, _)| *known == name)?;
                value.map(str::to_owned)
            })
        };
        assert_eq!(timeout([None, None]).unwrap(), DEFAULT_REQUEST_TIMEOUT);
        assert_eq!(timeout([None, Some("20000")]).unwrap(), Duration::from_secs(20));
        assert_eq!(timeout([Some(""), Some("20000")]).unwrap(), Duration::from_secs(20));
        assert_eq!(timeout([Some("500"), Some("20000")]).unwrap(), Duration::from_millis(500));
        for wrong in ["0", "-1", "10s"] {
            let error = timeout([None, Some(wrong)]).unwrap_err().to_string();
            assert!(error.contains("OTEL_EXPORTER_OTLP_TIMEOUT is a number of milliseconds"), "{error}");
        }
    }

    #[test]
    fn the_path_of_spans_is_added_to_the_address_of_a_collector() {
        let url = |text: &str| text.parse::<CollectorUrl>().map(|url| url.0.map(String::from));
        for text in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"] {
            assert_eq!(url(text), Ok(Some("http://127.0.0.1:4318/v1/traces".to_owned())), "{text}");
        }
        assert_eq!(url("https://host/otlp"), Ok(Some("https://host/otlp/v1/traces".to_owned())));
        assert_eq!(url(""), Ok(None));
        for text in ["127.0.0.1:4318", "host", "grpc://host:4317", "http://", "file:///v1/traces"] {
            assert_eq!(url(text), Err(InvalidCollectorUrl::Form), "{text}");
        }
        assert_eq!(url("http://me:hunter2@host:4318"), Err(InvalidCollectorUrl::Credentials));
    }
}
