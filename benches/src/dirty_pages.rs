//! The page cache of this machine.

/// Writes all dirty pages to the disk, so that what was done before a measurement is not written during it.
///
/// # Errors
/// When the thread panics.
pub async fn write_dirty_pages() -> anyhow::Result<()> {
    Ok(tokio::task::spawn_blocking(rustix::fs::sync).await?)
}
