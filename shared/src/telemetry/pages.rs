//! The pages of a program: metrics, liveness, readiness, status. They are JSON for `Accept: application/json`, and plain
//! text for people.

use std::{fmt::Write, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, SecondsFormat, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;
use serde::Serialize;

use super::program_info::ProgramInfo;
use crate::{
    health::{DependencyStatus, StatusSource},
    metrics::READY,
};

/// Seconds after which a client may ask a program again that is not ready. Probes ask as often.
const RETRY_AFTER_SECONDS: &str = "5";

/// What the pages show.
pub struct Pages {
    pub program: ProgramInfo,
    pub started_at: DateTime<Utc>,
    pub status: StatusSource,
    pub metrics: PrometheusHandle,
    /// Memory, CPU time and open files of the process, read at each request of /metrics.
    pub process: Collector,
}

#[derive(Serialize)]
struct Liveness {
    status: &'static str,
    #[serde(flatten)]
    program: ProgramInfo,
    started_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    reasons: Vec<&'a str>,
}

#[derive(Serialize)]
struct Status {
    ready: bool,
    #[serde(flatten)]
    program: ProgramInfo,
    started_at: DateTime<Utc>,
    dependencies: Vec<DependencyStatus>,
}

pub fn routes(pages: Pages) -> Router {
    Router::new()
        .route("/", get(start_page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(liveness))
        .route("/readyz", get(readiness))
        .route("/status", get(status))
        .with_state(Arc::new(pages))
}

async fn start_page(State(pages): State<Arc<Pages>>) -> Html<String> {
    let ProgramInfo { program, version } = pages.program;
    let links = ["status", "readyz", "healthz", "metrics"].map(|page| format!("<li><a href=\"/{page}\">/{page}</a>"));
    Html(format!("<!doctype html><title>{program}</title><h1>{program} {version}</h1><ul>{}</ul>\n", links.concat()))
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    pages.process.collect();
    ::metrics::gauge!(READY).set(f64::from(u8::from((pages.status)().is_ready())));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], pages.metrics.render()).into_response()
}

async fn liveness(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let liveness = Liveness { status: "ok", program: pages.program, started_at: pages.started_at };
    answer(StatusCode::OK, &headers, &liveness, || "ok\n".to_owned())
}

async fn readiness(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let status = (pages.status)();
    let ready = status.ready();
    let readiness = Readiness { ready: ready.is_ok(), reasons: status.reasons() };
    let Err(reasons) = ready else {
        return answer(StatusCode::OK, &headers, &readiness, || "ready\n".to_owned());
    };
    let text = || format!("not ready: {reasons}\n");
    let response = answer(StatusCode::SERVICE_UNAVAILABLE, &headers, &readiness, text);
    ([(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], response).into_response()
}

async fn status(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    let health = (pages.status)();
    let status = Status {
        ready: health.is_ready(),
        program: pages.program,
        started_at: pages.started_at,
        dependencies: health.dependencies,
    };
    answer(StatusCode::OK, &headers, &status, || text(&status))
}

fn answer(code: StatusCode, headers: &HeaderMap, json: &impl Serialize, text: impl FnOnce() -> String) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("application/json") {
        return (code, text()).into_response();
    }
    match serde_json::to_string(json) {
        Ok(body) => (code, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn text(status: &Status) -> String {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let ProgramInfo { program, version } = status.program;
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text = format!("{program} {version}, started {}: {ready}\n", time(status.started_at));
    for DependencyStatus { name, state, since, issues, last_error } in &status.dependencies {
        let _ = writeln!(text, "{name:18}{state:9}since {}", time(*since));
        for issue in issues {
            let _ = writeln!(text, "  since {}: {}; the program {}", time(issue.since), issue.message, issue.action);
        }
        if let Some(error) = last_error.as_ref().filter(|_| issues.is_empty()) {
            let _ = writeln!(text, "  last error {}: {}", time(error.at), error.message);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{CurrentIssue, Dependency, DependencyState, HealthStatus, LastError};

    fn pages(state: DependencyState) -> State<Arc<Pages>> {
        let at: DateTime<Utc> = "2026-01-31T09:00:00Z".parse().unwrap();
        let issue = CurrentIssue { since: at, message: "lost".to_owned(), action: "retries" };
        let dependency = DependencyStatus {
            name: Dependency::Postgres,
            state,
            since: at,
            issues: if state == DependencyState::Up { Vec::new() } else { vec![issue] },
            last_error: Some(LastError { at, message: "lost".to_owned() }),
        };
        let status = HealthStatus { dependencies: vec![dependency] };
        State(Arc::new(Pages {
            program: ProgramInfo { program: "consumer", version: "1.2.3" },
            started_at: at,
            status: Arc::new(move || status.clone()),
            metrics: metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle(),
            process: Collector::default(),
        }))
    }

    fn accept(media_type: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, media_type.parse().unwrap())])
    }

    async fn body(response: Response) -> String {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_program_that_is_not_ready_says_why_and_when_to_ask_again() {
        let response = readiness(pages(DependencyState::Down), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(body(response).await, "not ready: lost\n");

        let response = readiness(pages(DependencyState::Down), accept("application/json")).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(body(response).await, r#"{"ready":false,"reasons":["lost"]}"#);

        for state in [DependencyState::Up, DependencyState::Degraded] {
            let response = readiness(pages(state), accept("*/*")).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(body(response).await, "ready\n");
        }
    }

    #[tokio::test]
    async fn the_status_is_text_for_people_and_json_for_programs() {
        let text = body(status(pages(DependencyState::Degraded), accept("text/html")).await).await;
        let expected = "consumer 1.2.3, started 2026-01-31T09:00:00Z: ready\n\
                        postgres          degraded since 2026-01-31T09:00:00Z\n  since 2026-01-31T09:00:00Z: lost; the \
                        program retries\n";
        assert_eq!(text, expected);
        let resolved = body(status(pages(DependencyState::Up), HeaderMap::new()).await).await;
        assert!(resolved.ends_with("  last error 2026-01-31T09:00:00Z: lost\n"), "{resolved}");

        let json = body(status(pages(DependencyState::Down), accept("application/json")).await).await;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["ready"], false);
        assert_eq!(json["program"], "consumer");
        let postgres = &json["dependencies"][0];
        assert_eq!((postgres["name"].as_str(), postgres["state"].as_str()), (Some("postgres"), Some("down")));
        assert_eq!(postgres["issues"][0]["action"], "retries");
        assert_eq!(postgres["last_error"]["message"], "lost");
    }

    #[tokio::test]
    async fn the_start_page_links_the_others() {
        let Html(page) = start_page(pages(DependencyState::Up)).await;
        for link in ["/status", "/readyz", "/healthz", "/metrics"] {
            assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
        }
    }
}
