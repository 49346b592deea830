//! CPU of the whole machine, with that of programs which have nothing to do with the search.

use procfs::{CpuTime, CurrentSI, KernelStats};

/// CPU times of all cores until now.
pub struct MachineCpu(CpuTime);

impl MachineCpu {
    /// `None` when the system does not tell.
    pub fn now() -> Option<Self> {
        Some(Self(KernelStats::current().ok()?.total))
    }

    /// Cores in use since `earlier`, on average. What a hypervisor gave to another machine counts as used.
    pub fn cores_since(&self, earlier: &Self, cores: usize) -> Option<f64> {
        let idle = idle(&self.0).checked_sub(idle(&earlier.0))?;
        let busy = busy(&self.0).checked_sub(busy(&earlier.0))?;
        (idle + busy > 0).then(|| busy as f64 / (idle + busy) as f64 * cores as f64)
    }
}

fn idle(time: &CpuTime) -> u64 {
    time.idle + time.iowait.unwrap_or(0)
}

/// The time of guests is among `user` and `nice`.
fn busy(time: &CpuTime) -> u64 {
    let interrupts = time.irq.unwrap_or(0) + time.softirq.unwrap_or(0);
    time.user + time.nice + time.system + interrupts + time.steal.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_thread_that_computes_is_among_what_is_in_use() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let (earlier, begin) = (MachineCpu::now().unwrap(), Instant::now());
        while begin.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(begin);
        }
        let used = MachineCpu::now().unwrap().cores_since(&earlier, cores).unwrap();
        assert!((0.4..=cores as f64).contains(&used), "{used} of {cores}");
        assert_eq!(earlier.cores_since(&earlier, cores), None);
    }
}
