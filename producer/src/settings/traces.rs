use clap::Args;
use shared::traces::TraceExportSettings;

use super::usage::wrong_usage;
use crate::trace_sampler::TraceSampler;

/// Which orders are traced, and where their spans go.
#[derive(Clone, Debug, Args)]
pub struct TraceSettings {
    /// Trace this share of the orders, such as 0.1%: their records have the header traceparent, by which consumers
    /// continue the trace. Requires --otlp-endpoint.
    #[arg(long, default_value = "0%", value_name = "SHARE", help_heading = "Telemetry")]
    trace_sample: TraceSampler,
    #[command(flatten)]
    pub export: TraceExportSettings,
}

impl TraceSettings {
    /// `None` when no order is traced.
    pub fn sampler(&self) -> Option<TraceSampler> {
        (!self.trace_sample.is_none()).then_some(self.trace_sample)
    }

    /// # Errors
    /// Wrong usage, when there is no collector for the spans.
    pub fn check(&self) -> Result<(), clap::Error> {
        if self.sampler().is_some() && self.export.collector().is_none() {
            return Err(wrong_usage(
                "--trace-sample requires --otlp-endpoint: the address of a collector for the spans",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCommand {
        #[command(flatten)]
        traces: TraceSettings,
    }

    #[test]
    fn orders_are_traced_only_if_there_is_a_collector_for_their_spans() {
        let is_traced = |sample: &str, endpoint: &str| {
            let command = TestCommand::parse_from(["test", "--trace-sample", sample, "--otlp-endpoint", endpoint]);
            command.traces.check().map(|()| command.traces.sampler().is_some())
        };
        assert!(is_traced("0.1%", "http://127.0.0.1:4318").unwrap());
        assert!(!is_traced("0%", "http://127.0.0.1:4318").unwrap() && !is_traced("0%", "").unwrap());
        let error = is_traced("0.1%", "").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--otlp-endpoint"), "{error}");
    }
}
