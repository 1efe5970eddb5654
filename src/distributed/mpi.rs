//! [`Mpi`]

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives};

use super::Communicator;
use crate::error::{Error, Result};

/// How long a rank waits for the others.
const LIMIT: Duration = Duration::from_secs(600);

/// The processes that `mpirun` or a cluster's scheduler started, connected by MPI: Open MPI, MPICH, ….
///
/// It is dropped at the end of the program. A rank that has waited 10 minutes for another one, which hangs or left its loop, ends all.
///
/// ```no_run
/// # use tealight::prelude::*;
/// use tealight::distributed::{Communicator, Mpi};
/// let mpi = Mpi::init()?;
/// println!("rank {} of {}", mpi.rank(), mpi.size());
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct Mpi {
    world: SimpleCommunicator,
    /// Each message begins or ends a wait.
    watch: Sender<()>,
    // Ends MPI when it is dropped, as the last field.
    _universe: Universe,
}

impl Mpi {
    /// Starts MPI. Without `mpirun` there is one rank.
    ///
    /// # Errors
    /// Errors if MPI was started before in this process.
    pub fn init() -> Result<Self> {
        let Some((universe, _)) = mpi::initialize_with_threading(Threading::Serialized) else {
            return Err(Error::argument("Mpi", "one call of init in a process", "a second one"));
        };
        let world = universe.world();
        let (watch, waits) = channel();
        let rank = world.rank();
        let watcher = move || {
            while let Ok(()) = waits.recv() {
                if let Err(RecvTimeoutError::Timeout) = waits.recv_timeout(LIMIT) {
                    let seconds = LIMIT.as_secs();
                    say(
                        rank,
                        &format!("waited {seconds} s for another rank, which hangs or does something else"),
                    );
                    // Not MPI_Abort, which MPI may not allow while the other thread waits.
                    std::process::exit(1);
                }
            }
        };
        let watcher = thread::Builder::new().name("mpi watch".into()).spawn(watcher);
        watcher.map_err(|error| Error::argument("Mpi", "a thread that watches the others", error))?;
        Ok(Mpi { world, watch, _universe: universe })
    }

    /// Calls `f`, which waits for the other ranks.
    fn wait<R>(&self, f: impl FnOnce() -> R) -> R {
        // The watch ends with the process only.
        let _ = self.watch.send(());
        let result = f();
        let _ = self.watch.send(());
        result
    }
}

/// Not `eprintln!`, which panics when standard error is closed.
fn say(rank: i32, message: &str) {
    let _ = writeln!(std::io::stderr(), "tealight: rank {rank}: {message}");
}

/// Lengths as MPI counts them, with the place of each part. Their sum must be below 2 GiB.
fn counts(lengths: impl Iterator<Item = usize>) -> Result<(Vec<i32>, Vec<i32>)> {
    let (mut counts, mut places, mut next) = (Vec::new(), Vec::new(), 0_i32);
    for length in lengths {
        let count = i32::try_from(length).ok();
        let end = count.and_then(|count| next.checked_add(count));
        let (Some(count), Some(end)) = (count, end) else {
            return Err(Error::argument("Mpi", "messages below 2 GiB", format!("one of {length} bytes")));
        };
        counts.push(count);
        places.push(next);
        next = end;
    }
    Ok((counts, places))
}

/// Room for the sum of these lengths in bytes, at an address that MPI takes for one: that of an empty `Vec` of bytes is 1, which Open MPI calls
/// `MPI_IN_PLACE`.
fn buffer(lengths: &[u64]) -> Vec<u8> {
    vec![0; lengths.iter().sum::<u64>() as usize + 1]
}

/// The buffer cut into parts of these lengths.
fn cut(buffer: &[u8], counts: &[i32]) -> Vec<Vec<u8>> {
    let mut rest = buffer;
    let mut part = |&count: &i32| {
        let (part, after) = rest.split_at(count as usize);
        rest = after;
        part.to_vec()
    };
    counts.iter().map(&mut part).collect()
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut lengths = vec![0_u64; self.size()];
        self.wait(|| self.world.all_gather_into(&(bytes.len() as u64), &mut lengths[..]));
        let (counts, places) = counts(lengths.iter().map(|&length| length as usize))?;
        let (mut sent, mut received) = (buffer(&[bytes.len() as u64]), buffer(&lengths));
        let sent = &mut sent[..bytes.len()];
        sent.copy_from_slice(bytes);
        let mut parts = PartitionMut::new(&mut received[..], &counts[..], places);
        self.wait(|| self.world.all_gather_varcount_into(sent, &mut parts));
        Ok(cut(&received, &counts))
    }

    fn all_to_all(&self, parts: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let lengths: Vec<u64> = parts.iter().map(|part| part.len() as u64).collect();
        let mut received = vec![0_u64; self.size()];
        self.wait(|| self.world.all_to_all_into(&lengths[..], &mut received[..]));
        let (to, to_places) = counts(parts.iter().map(Vec::len))?;
        let (from, from_places) = counts(received.iter().map(|&length| length as usize))?;
        let mut sent = parts.concat();
        sent.push(0); // as in `buffer`
        let mut bytes = buffer(&received);
        let mut target = PartitionMut::new(&mut bytes[..], &from[..], from_places);
        self.wait(|| {
            self.world.all_to_all_varcount_into(&Partition::new(&sent[..], to, to_places), &mut target);
        });
        Ok(cut(&bytes, &from))
    }

    /// Prints the message with the number of this rank, and ends all ranks with the exit code 1.
    fn abort(&self, message: &str) {
        // Of an error that all ranks have, the first one tells, and its abort ends the others.
        thread::sleep(Duration::from_millis(300).saturating_mul(self.world.rank().clamp(0, 10) as u32));
        say(self.world.rank(), message);
        self.world.abort(1);
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // MPI would wait for the others, who wait for this one.
        if thread::panicking() {
            self.world.abort(101);
        }
    }
}
