//! A page in headless Chromium, and what it requests and logs.

use std::{path::Path, time::Duration};

use chromiumoxide::{
    Browser, BrowserConfig, Page,
    cdp::{
        browser_protocol::{
            emulation::{MediaFeature, SetDeviceMetricsOverrideParams},
            input::{DispatchMouseEventParams, DispatchMouseEventType, MouseButton},
            log::EventEntryAdded,
            network::EventRequestWillBeSent,
        },
        js_protocol::runtime::{EventConsoleApiCalled, EventExceptionThrown},
    },
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Names of the browser: `deploy/stack install --check` installs the first one.
const BROWSERS: [&str; 4] = ["chromium-headless-shell", "chromium", "google-chrome", "chrome"];

/// A message that each test logs at its end: what came before has been received.
const LAST: &str = "the last message";

const TIMEOUT: Duration = Duration::from_secs(60);

/// Size and color scheme of the window.
#[derive(Clone, Copy)]
pub struct Window {
    pub width: i64,
    pub dark: bool,
}

impl Window {
    pub const DESKTOP: Self = Self { width: 1_280, dark: false };
    pub const DARK: Self = Self { width: 1_280, dark: true };
    pub const PHONE: Self = Self { width: 390, dark: false };
    const HEIGHT: i64 = 900;
}

pub struct Tab {
    browser: Browser,
    page: Page,
    messages: UnboundedReceiver<String>,
    _profile: TempDir,
}

impl Tab {
    /// Opens a file, and waits until its charts are drawn.
    pub async fn open(file: &Path, window: Window) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (browser, mut events) = Browser::launch(config(&profile)).await.unwrap();
        tokio::spawn(async move { while events.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await.unwrap();
        let (sender, messages) = unbounded_channel();
        page.enable_log().await.unwrap();
        page.enable_runtime().await.unwrap();
        listen(&page, sender).await;
        let phone = window.width < 600;
        let scale = if phone { 2.0 } else { 1.0 };
        page.execute(SetDeviceMetricsOverrideParams::new(window.width, Window::HEIGHT, scale, phone)).await.unwrap();
        let scheme = if window.dark { "dark" } else { "light" };
        page.emulate_media_features(vec![MediaFeature::new("prefers-color-scheme", scheme)]).await.unwrap();
        page.goto(format!("file://{}", file.display())).await.unwrap();
        let tab = Self { browser, page, messages, _profile: profile };
        assert_eq!(tab.evaluate::<String>("document.documentElement.dataset.ready ?? 'no'").await, "yes");
        tab
    }

    /// The value of an expression in the page.
    pub async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        self.page.evaluate(expression).await.unwrap().into_value().unwrap()
    }

    /// The texts of the elements that match a selector.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        self.evaluate(&format!("[...document.querySelectorAll({selector:?})].map((found) => found.textContent)")).await
    }

    /// Moves the mouse, or the pressed mouse, over the plot of a chart; `at` is 0 at its left and 1 at its right side.
    pub async fn mouse(&self, chart: &str, at: f64, kind: DispatchMouseEventType) {
        let place = format!(
            "(() => {{ const over = document.querySelector('#{chart} .u-over');
                over.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = over.getBoundingClientRect(); return [box.left, box.top + box.height / 2, box.width]; }})()"
        );
        let (left, middle, width): (f64, f64, f64) = self.evaluate(&place).await;
        let event = DispatchMouseEventParams::builder().r#type(kind.clone()).x(left + at * width).y(middle);
        let event = match kind {
            DispatchMouseEventType::MouseMoved => event,
            _ => event.button(MouseButton::Left).buttons(1).click_count(1),
        };
        self.page.execute(event.build().unwrap()).await.unwrap();
        self.evaluate::<bool>("new Promise((drawn) => requestAnimationFrame(() => setTimeout(() => drawn(true))))")
            .await;
    }

    /// What was requested and logged, without the page itself. Closes the browser.
    pub async fn close(mut self) -> Vec<String> {
        self.evaluate::<bool>(&format!("console.error({LAST:?}) ?? true")).await;
        let mut messages = Vec::new();
        while let message = tokio::time::timeout(TIMEOUT, self.messages.recv()).await.unwrap().unwrap()
            && !message.contains(LAST)
        {
            messages.push(message);
        }
        self.browser.close().await.unwrap();
        self.browser.wait().await.unwrap();
        messages
    }
}

fn config(profile: &TempDir) -> BrowserConfig {
    let program = BROWSERS.iter().find_map(|name| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    });
    let program = program.expect("no Chromium is installed: run `deploy/stack install --check`");
    BrowserConfig::builder()
        .chrome_executable(program)
        .no_sandbox()
        .user_data_dir(profile.path())
        .args(["disable-gpu", "disable-quic", "disable-component-update"])
        .launch_timeout(TIMEOUT)
        .request_timeout(TIMEOUT)
        .build()
        .unwrap()
}

/// Sends each request but that of a file, and each message of the console.
async fn listen(page: &Page, sender: UnboundedSender<String>) {
    let mut requests = page.event_listener::<EventRequestWillBeSent>().await.unwrap();
    let mut exceptions = page.event_listener::<EventExceptionThrown>().await.unwrap();
    let mut console = page.event_listener::<EventConsoleApiCalled>().await.unwrap();
    let mut log = page.event_listener::<EventEntryAdded>().await.unwrap();
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                biased;
                Some(event) = requests.next() => match event.request.url.as_str() {
                    url if url.starts_with("file://") && url.ends_with(".html") => continue,
                    url => format!("request of {url}"),
                },
                Some(event) = exceptions.next() => format!("exception {:?}", event.exception_details),
                Some(event) = log.next() => format!("log {:?}: {}", event.entry.level, event.entry.text),
                Some(event) = console.next() => format!("console {:?}: {:?}", event.r#type, event.args),
                else => return,
            };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
}
