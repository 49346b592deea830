//! Reads the metrics and the readiness of a running program over HTTP.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether `/readyz` returns 200.
pub async fn is_ready(address: SocketAddr) -> bool {
    get(address, "readyz").await.is_ok()
}

/// The sum of a metric over all its labels; 0 while it has no sample.
///
/// # Errors
/// When the program does not answer.
pub async fn value(address: SocketAddr, metric: &str) -> anyhow::Result<f64> {
    Ok(sum(&get(address, "metrics").await?, metric))
}

async fn get(address: SocketAddr, page: &str) -> anyhow::Result<String> {
    let url = format!("http://{address}/{page}");
    tokio::task::spawn_blocking(move || {
        let mut response = ureq::get(&url)
            .config()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build()
            .call()
            .with_context(|| format!("{url} does not answer"))?;
        Ok(response.body_mut().read_to_string()?)
    })
    .await?
}

fn sum(page: &str, metric: &str) -> f64 {
    let samples = page.lines().filter_map(|line| line.strip_prefix(metric));
    samples
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_with_those_whose_name_begins_like_it() {
        let page = "# TYPE rows counter\nrows{kind=\"a b\"} 2\nrows{kind=\"c\"} 3\nrows_more 100\n\nplain 7\n";
        assert_eq!((sum(page, "rows"), sum(page, "plain"), sum(page, "none")), (5.0, 7.0, 0.0));
    }
}
