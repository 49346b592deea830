//! The result of a search as text.

use std::fmt;

use shared::report::{align_right, table};

use super::{
    report::{FindMaxReport, PAGE, ProbeReport},
    saturation::Saturation,
};
use crate::report::page::figures::{latency, optional};

const LEGEND: &str = "\
rate: orders due a second. ack, stored p99: from due to acknowledged, to stored,
in ms. lag/s: growth of the lag each second in % of the rate. CPU: cores; all:
those of the whole machine.";

impl fmt::Display for FindMaxReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header =
            ["\nrate", "", "ack\np99", "stored\np99", "\nlag/s", "CPU\nprod.", "\nbrok.", "\ncons.", "\nPG", "\nall"];
        let (mut rows, probes) = (table(header), self.by_rate());
        align_right(&mut rows, 0..1);
        align_right(&mut rows, 2..10);
        for probe in &probes {
            rows.add_row(row(probe));
        }
        writeln!(f, "{rows}\n{LEGEND}")?;
        writeln!(f, "required: {}", self.required())?;
        for probe in probes.iter().filter(|probe| !probe.broken.is_empty()) {
            writeln!(f, "{} broke: {}", probe.rate, probe.broken_text())?;
        }
        if let Some(Saturation { component, limit, evidence }) = &self.saturation {
            writeln!(f, "saturated: {}; {}", component.name(), limit.name())?;
            for sentence in evidence {
                writeln!(f, "  {sentence}")?;
            }
        }
        if let Some(warning) = self.disturbance() {
            writeln!(f, "warning: {warning}")?;
        }
        if let Some(audit) = &self.audit {
            writeln!(f, "{audit}")?;
        }
        writeln!(f, "report: {}", self.folder.join(PAGE).display())?;
        f.write_str(&self.verdict())
    }
}

fn row(probe: &ProbeReport) -> [String; 10] {
    let cpu = &probe.cpu_cores;
    let cores = |cores: Option<f64>| optional(cores, |cores| format!("{cores:.2}"));
    [
        probe.rate.to_string(),
        probe.verdict().to_owned(),
        latency(&probe.ack_ms, |summary| summary.p99),
        latency(&probe.stored_ms, |summary| summary.p99),
        probe.lag.map_or_else(String::new, |lag| format!("{:+.1}%", lag.share_of_rate * 100.0)),
        cores(Some(cpu.producer)),
        cores(cpu.brokers),
        cores(Some(cpu.consumers)),
        cores(cpu.postgres),
        cores(probe.machine_cpu_cores),
    ]
}
