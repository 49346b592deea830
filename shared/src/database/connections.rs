//! Counts the open connections of this process.

use crate::metrics::{DATABASE_CONNECTIONS, DATABASE_CONNECTIONS_MAX};

/// An open connection; it counts until it is dropped.
pub(super) struct OpenConnection(::metrics::Gauge);

impl OpenConnection {
    /// Counts one more.
    pub fn count() -> Self {
        // The handle is kept: a connection that was opened before the recorder was installed is never subtracted from
        // it.
        let open = ::metrics::gauge!(DATABASE_CONNECTIONS);
        open.increment(1.0);
        Self(open)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Exports how many connections this process opens at most, and the number of those that are open, which may be 0.
pub fn export_connection_limit(connections: usize) {
    ::metrics::gauge!(DATABASE_CONNECTIONS).increment(0.0);
    ::metrics::gauge!(DATABASE_CONNECTIONS_MAX).set(connections as f64);
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn connections_count_while_they_are_open_and_those_of_before_the_recorder_never() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let open = || {
            let page = recorder.handle().render();
            let value = page.lines().find_map(|line| line.strip_prefix("orderflow_database_connections "));
            value.map(|value| value.parse::<f64>().unwrap())
        };
        let before = OpenConnection::count();
        ::metrics::with_local_recorder(&recorder, || {
            assert_eq!(open(), None);
            export_connection_limit(6);
            assert_eq!(open(), Some(0.0));
            let connections = [OpenConnection::count(), OpenConnection::count()];
            drop(before);
            assert_eq!(open(), Some(2.0));
            drop(connections);
            assert_eq!(open(), Some(0.0));
        });
    }
}
