//! The names of a program's metrics, each with its type and its help.

/// Defines constants with the names of metrics, and a function `describe` that gives the recorder the help of each: its
/// comment. So `/metrics` says the same as the code. The calling crate depends on `metrics`.
///
/// ```ignore
/// shared::metric_names! {
///     /// Orders enqueued.
///     counter ENQUEUED = "orderflow_producer_enqueued_total";
/// }
/// ```
#[macro_export]
macro_rules! metric_names {
    ($($(#[doc = $help:literal])+ $kind:ident $name:ident = $metric:literal;)+) => {
        $($(#[doc = $help])+ pub const $name: &str = $metric;)+

        /// Gives the installed recorder the help of each metric.
        pub fn describe() {
            $($crate::describe_metric!($kind $name concat!($($help),+).trim());)+
        }
    };
}

/// Gives the recorder the help of one metric, by its type.
#[doc(hidden)]
#[macro_export]
macro_rules! describe_metric {
    (counter $name:ident $help:expr) => {
        ::metrics::describe_counter!($name, $help)
    };
    (gauge $name:ident $help:expr) => {
        ::metrics::describe_gauge!($name, $help)
    };
    (histogram $name:ident $help:expr) => {
        ::metrics::describe_histogram!($name, $help)
    };
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    crate::metric_names! {
        /// Orders read,
        /// from all partitions.
        counter READ = "test_read_total";
        /// Orders that wait.
        gauge WAITING = "test_waiting";
    }

    #[test]
    fn the_help_of_a_metric_is_its_comment_on_one_line() {
        let recorder = PrometheusBuilder::new().build_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            describe();
            ::metrics::counter!(READ).increment(1);
            ::metrics::gauge!(WAITING).set(2.0);
        });
        let page = recorder.handle().render();
        let mut help: Vec<&str> = page.lines().filter(|line| line.starts_with("# HELP")).collect();
        help.sort_unstable();
        assert_eq!(
            help,
            ["# HELP test_read_total Orders read, from all partitions.", "# HELP test_waiting Orders that wait."]
        );
    }
}
