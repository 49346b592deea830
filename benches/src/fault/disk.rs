//! A small disk for the ledgers of the producers, which a fault fills.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// More than the ledgers of a long run need: a journal grows by some hundred bytes a second.
const SIZE_MIB: u32 = 32;
const FILLER: &str = "filler";
static BLOCK: [u8; 65_536] = [0; 65_536];

/// A tmpfs. When this is dropped, the ledgers are copied to their place, and it is unmounted.
pub struct LedgerDisk {
    folder: PathBuf,
    /// Folder of the ledgers after the run.
    ledgers: PathBuf,
}

impl LedgerDisk {
    /// Mounts a tmpfs on `folder`, which is created. `ledgers` is the folder that gets its files at the end.
    ///
    /// # Errors
    /// When this process may not mount, or `folder` can't be created.
    pub fn mount(folder: &Path, ledgers: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} can't be created", folder.display()))?;
        let size = std::ffi::CString::new(format!("size={SIZE_MIB}m,mode=755"))?;
        let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("tmpfs", folder, "tmpfs", flags, size.as_c_str()).with_context(|| {
            format!(
                "a small disk can't be mounted at {}: the fault fill-disk requires root, or CAP_SYS_ADMIN. Run the \
                 load test as root, or remove the fault from the scenario",
                folder.display()
            )
        })?;
        Ok(Self { folder: folder.to_owned(), ledgers: ledgers.to_owned() })
    }

    /// The folder for the ledgers of the producers during the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file until no space is left.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut filler = File::options().create(true).append(true).open(self.folder.join(FILLER))?;
        loop {
            match filler.write(&BLOCK) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => bail!("the disk at {} can't be filled: {error}", self.folder.display()),
            }
        }
    }

    pub(super) fn end_fill(&self) -> anyhow::Result<()> {
        fs::remove_file(self.folder.join(FILLER)).context("the disk can't be emptied")
    }

    fn end(&self) -> anyhow::Result<()> {
        let _ = fs::remove_file(self.folder.join(FILLER));
        // A disk whose ledgers can't be copied stays.
        copy_folder(&self.folder, &self.ledgers)
            .with_context(|| format!("the ledgers can't be copied to {}", self.ledgers.display()))?;
        unmount(&self.folder, UnmountFlags::DETACH)
            .with_context(|| format!("{} can't be unmounted", self.folder.display()))?;
        Ok(fs::remove_dir(&self.folder)?)
    }
}

impl Drop for LedgerDisk {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!("{error:#}. The small disk is still mounted: umount {}", self.folder.display());
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_accepts_no_byte_until_it_is_emptied_and_leaves_its_files_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let (small, ledgers) = (folder.path().join("small"), folder.path().join("runs"));
        let disk = match LedgerDisk::mount(&small, &ledgers) {
            Ok(disk) => disk,
            Err(error) => {
                let may_mount = rustix::process::geteuid().is_root();
                return assert!(!may_mount && format!("{error:#}").contains("requires root"), "{error:#}");
            }
        };
        fs::create_dir(small.join("run")).unwrap();
        let mut journal = File::create(small.join("run/journal")).unwrap();
        journal.write_all(&[1; 5_000]).unwrap();
        disk.fill().unwrap();
        let error = File::create(small.join("run/other")).and_then(|mut file| file.write_all(&[1; 5_000])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        disk.end_fill().unwrap();
        journal.write_all(&[2; 5_000]).unwrap();
        drop((journal, disk));
        assert!(!small.exists());
        assert_eq!(fs::read(ledgers.join("run/journal")).unwrap().len(), 10_000);
    }
}
