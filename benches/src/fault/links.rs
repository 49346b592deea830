//! The links of a run: the programs reach a server through a proxy, which can delay, cut or stall their connections.
//!
//! Only the servers whose links a scenario breaks are behind a proxy: all three brokers, or none. A broker tells its
//! clients an address for each broker. On its listener `PROXIED` these are the addresses of the proxies.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use tokio::net::TcpStream;
use url::Url;

use super::{
    model::{Fault, Target},
    stack::Stack,
    toxiproxy::{Toxic, Toxiproxy},
};
use crate::process::free_address;

/// The proxies of a run. They end when this is dropped, which must be after the end of the programs.
pub struct Links {
    proxies: Toxiproxy,
    /// Environment variables by which the programs reach the servers through the proxies.
    environment: Vec<(String, String)>,
}

/// Whether a fault is one of a link, which needs a proxy, and of which one.
pub fn link_of(fault: &Fault) -> Option<Target> {
    match fault {
        Fault::SlowLink { target, .. }
        | Fault::CutLink(target)
        | Fault::ResetLink(target)
        | Fault::BlackHoleLink(target) => Some(*target),
        _ => None,
    }
}

impl Links {
    /// Starts the proxies that `faults` need. `None` when they break no link.
    ///
    /// # Errors
    /// When toxiproxy is not installed and can't be, a port is in use, or a broker has no listener for a proxy.
    pub async fn start<'a>(
        faults: impl Iterator<Item = &'a Fault> + Clone,
        stack: &Stack,
        logs: &Path,
    ) -> anyhow::Result<Option<Self>> {
        let wanted = proxied(faults.clone());
        if wanted.is_empty() {
            return Ok(None);
        }
        let variables = stack.environment(Some("--proxied")).await?.into_iter();
        let settings: BTreeMap<String, String> = variables.filter_map(|(name, value)| Some((name, value?))).collect();
        let mut links = Self { proxies: Toxiproxy::start(stack, logs).await?, environment: Vec::new() };
        for target in &wanted {
            let route = Route::new(*target, &settings)?;
            ensure_listening(*target, route.upstream, stack).await?;
            links.proxies.add(&target.to_string(), route.listen, route.upstream).await?;
            links.environment.extend(route.environment);
        }
        let is_reset = |target: &Target| faults.clone().any(|fault| *fault == Fault::ResetLink(*target));
        for target in wanted.iter().filter(|target| is_reset(target)) {
            links.proxies.add_toxic(&target.to_string(), Toxic::ResetOnClose).await?;
        }
        Ok(Some(links))
    }

    /// The variables of the programs that differ from those of the stack.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Delays what passes, in each direction.
    pub(super) async fn slow(&self, target: Target, delay: Duration) -> anyhow::Result<()> {
        self.proxies.add_toxic(&target.to_string(), Toxic::Latency(delay)).await
    }

    pub(super) async fn end_slow(&self, target: Target, delay: Duration) -> anyhow::Result<()> {
        self.proxies.remove_toxic(&target.to_string(), Toxic::Latency(delay)).await
    }

    /// Closes the connections and refuses others. Where a scenario resets a link, they are closed with RST.
    pub(super) async fn cut(&self, target: Target) -> anyhow::Result<()> {
        self.proxies.set_enabled(&target.to_string(), false).await
    }

    pub(super) async fn end_cut(&self, target: Target) -> anyhow::Result<()> {
        self.proxies.set_enabled(&target.to_string(), true).await
    }

    /// Passes nothing, and leaves the connections open.
    pub(super) async fn black_hole(&self, target: Target) -> anyhow::Result<()> {
        self.proxies.add_toxic(&target.to_string(), Toxic::DropData).await
    }

    /// Closes the connections that lack the data which was dropped.
    pub(super) async fn end_black_hole(&self, target: Target) -> anyhow::Result<()> {
        self.proxies.remove_toxic(&target.to_string(), Toxic::DropData).await
    }
}

/// The servers that must be behind a proxy.
fn proxied<'a>(faults: impl Iterator<Item = &'a Fault>) -> BTreeSet<Target> {
    let with_all_brokers = |target| match target {
        Target::Broker(_) => vec![Target::Broker(1), Target::Broker(2), Target::Broker(3)],
        other => vec![other],
    };
    faults.filter_map(link_of).flat_map(with_all_brokers).collect()
}

async fn ensure_listening(target: Target, upstream: SocketAddr, stack: &Stack) -> anyhow::Result<()> {
    let is_listening = TcpStream::connect(upstream).await.is_ok();
    let name = &stack.name;
    ensure!(
        is_listening,
        "{target} does not listen at {upstream}, where the proxy would connect: start it, or restart it if an earlier \
         version of deploy/stack has started it (deploy/stack --name {name} down, then deploy/stack --name {name} up)"
    );
    Ok(())
}

/// Where a proxy listens and connects to, and the variables that lead the programs to it.
struct Route {
    listen: SocketAddr,
    upstream: SocketAddr,
    environment: Vec<(String, String)>,
}

impl Route {
    /// `settings` are those that the stack prints for proxies.
    fn new(target: Target, settings: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let value = |name: &str| settings.get(name).with_context(|| format!("the stack does not print {name}"));
        let variable = |name: &str, value: String| (name.to_owned(), value);
        match target {
            Target::Broker(number) => {
                let address = |name| address(value(name)?.split(',').nth(usize::from(number) - 1).unwrap_or_default());
                let environment = vec![variable("KAFKA_BROKERS", value("KAFKA_BROKERS")?.clone())];
                Ok(Self {
                    listen: address("KAFKA_BROKERS")?,
                    upstream: address("KAFKA_PROXIED_LISTENERS")?,
                    environment,
                })
            }
            Target::Redis => {
                let listen = free_address()?;
                let mut url = Url::parse(value("REDIS_URL")?).context("REDIS_URL is not a URL")?;
                let upstream =
                    address(&format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(6379)))?;
                url.set_port(Some(listen.port())).map_err(|()| anyhow!("REDIS_URL can't have a port"))?;
                Ok(Self { listen, upstream, environment: vec![variable("REDIS_URL", url.to_string())] })
            }
            Target::Postgres => {
                let listen = free_address()?;
                let upstream = address(&format!("{}:{}", value("POSTGRES_HOST")?, value("POSTGRES_PORT")?))?;
                Ok(Self { listen, upstream, environment: vec![variable("POSTGRES_PORT", listen.port().to_string())] })
            }
            program => bail!("a link leads to a server, and {program} is a program"),
        }
    }
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    text.parse().with_context(|| format!("'{text}' is not an IP address with a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_of_a_broker_listens_where_the_broker_tells_its_clients() {
        let settings = [
            ("KAFKA_BROKERS", "127.0.0.1:18,127.0.0.1:19,127.0.0.1:20"),
            ("KAFKA_PROXIED_LISTENERS", "127.0.0.1:15,127.0.0.1:16,127.0.0.1:17"),
            ("REDIS_URL", "redis://:secret@127.0.0.1:7"),
            ("POSTGRES_HOST", "127.0.0.1"),
            ("POSTGRES_PORT", "8"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let broker = Route::new(Target::Broker(2), &settings).unwrap();
        assert_eq!((broker.listen.port(), broker.upstream.port()), (19, 16));
        let redis = Route::new(Target::Redis, &settings).unwrap();
        assert_eq!(redis.upstream.port(), 7);
        let expected = ("REDIS_URL".to_owned(), format!("redis://:secret@{}", redis.listen));
        assert_eq!(redis.environment, [expected]);
        let postgres = Route::new(Target::Postgres, &settings).unwrap();
        assert_eq!(postgres.upstream.port(), 8);
        assert_eq!(postgres.environment, [("POSTGRES_PORT".to_owned(), postgres.listen.port().to_string())]);
    }
}
