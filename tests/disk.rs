//! Full disks, folders that cannot be written, directories that vanish, and files that change while they are read: the error names
//! the file and says what to do, and what was saved before is whole.
//!
//! The disks are real ones of 64 KiB in memory. Where mounting is not allowed, a line says that those tests are skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tealight::data::{DataLoader, ImageFolderOptions, TableOptions};
use tealight::io::Checkpoint;
use tealight::prelude::*;
use tealight::train::{Checkpoints, Log, TensorBoard, Trainer};
use tealight::{data, io};

/// A disk of 64 KiB, as long as this lives.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None, said with a line, where this process may not mount.
    fn new() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        if mount(&["-t", "tmpfs", "-o", "size=64k", "none"], place.path()) {
            return Some(Disk(place));
        }
        println!("skipped: mounting is not allowed here");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all that is free.
    fn fill(&self) -> PathBuf {
        let ballast = self.path().join("ballast");
        // It is cut off where the disk ends.
        let _ = fs::write(&ballast, vec![1; 1 << 16]);
        ballast
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(options: &[&str], place: &Path) -> bool {
    let mounted = Command::new("mount").args(options).arg(place).output();
    mounted.is_ok_and(|mounted| mounted.status.success())
}

fn model() -> Sequential {
    let rng = &mut Rng::seed(1);
    Sequential::new().push(Linear::new(8, 64, rng).unwrap()).push(Tanh).push(Linear::new(64, 1, rng).unwrap())
}

fn examples() -> (Tensor, Tensor) {
    let x = Tensor::randn(0_f32, 1.0, (64, 8), &mut Rng::seed(2)).unwrap();
    let y = x.sum_keepdim(1).unwrap();
    (x, y)
}

fn trainer(model: &Sequential, epochs: u64) -> Trainer<'_> {
    Trainer::new(model, Mse, Adam::new(model.parameters(), 0.01).unwrap()).epochs(epochs).silent()
}

fn weights(model: &Sequential) -> Vec<Vec<f32>> {
    model.parameters().iter().map(|(_, w)| w.get().flatten(0, -1).unwrap().to_vec1().unwrap()).collect()
}

/// The error, which names this file and says all of this.
fn refused<T: std::fmt::Debug>(result: Result<T>, file: &Path, said: &[&str]) {
    let error = result.unwrap_err().to_string();
    for said in said.iter().copied().chain([file.to_str().unwrap()]) {
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
    println!("{error}");
}

#[test]
fn a_disk_that_fills_up_costs_no_checkpoint() {
    let Some(disk) = Disk::new() else { return };
    let last = disk.path().join("last.safetensors");
    let whole = model();
    trainer(&whole, 5)
        .callback(Checkpoints::new(tempfile::tempdir().unwrap().path()).unwrap())
        .on_epoch_end(|_| Ok(()))
        .fit(&examples(), None)
        .unwrap();

    let first = model();
    let full = trainer(&first, 5)
        .callback(Checkpoints::new(disk.path()).unwrap())
        .on_epoch_end(|run| {
            if run.epoch == 3 {
                disk.fill();
            }
            Ok(())
        })
        .fit(&examples(), None);
    let step = "training stopped after step 6 without this checkpoint, the one from before is whole: `resume` from it";
    refused(full, &last, &["No space left on device", "free some space", step]);
    assert_eq!(disk.names(), ["ballast", "last.safetensors"]);
    assert_eq!(Checkpoint::read(&last).unwrap().meta::<u64>("epoch").unwrap(), 2);

    fs::remove_file(disk.path().join("ballast")).unwrap();
    let second = model();
    let mut resumed = trainer(&second, 5)
        .callback(Checkpoints::new(disk.path()).unwrap())
        .on_epoch_end(|_| Ok(()))
        .resume(&last)
        .unwrap();
    assert_eq!(resumed.fit(&examples(), None).unwrap().len(), 5);
    drop(resumed);
    assert_eq!(weights(&second), weights(&whole));
}

#[test]
fn a_disk_that_is_full_from_the_start() {
    let Some(disk) = Disk::new() else { return };
    disk.fill();
    let (model, x) = (model(), Tensor::zeros((64, 64), DType::F32, &Device::Cpu).unwrap());
    let space = ["No space left on device", "free some space and try again"];
    let at = |name: &str| disk.path().join(name);
    refused(io::save(at("model.safetensors"), &model), &at("model.safetensors"), &space);
    refused(io::write_npy(at("x.npy"), &x), &at("x.npy"), &space);
    refused(io::write_npz(at("x.npz"), &[("x".into(), x.clone())].into()), &at("x.npz"), &space);
    refused(io::export_onnx(at("x.onnx"), &model, &[64, 8]), &at("x.onnx"), &space);
    let image =
        Tensor::rand(0_f32, 255.0, (200, 200, 1), &mut Rng::seed(1)).unwrap().to_dtype(DType::U8).unwrap();
    refused(data::image::write_png(at("x.png"), &image), &at("x.png"), &space);
    let checkpoints =
        trainer(&model, 1).callback(Checkpoints::new(disk.path()).unwrap()).fit(&examples(), None);
    refused(
        checkpoints,
        &at("last.safetensors"),
        &["training stopped after step 2", "there is none from before"],
    );
    assert_eq!(disk.names(), ["ballast"]);
}

/// The log's disk is full; the checkpoints' is not, and has the epoch that the log has not.
#[test]
fn logs_on_a_full_disk_cost_no_checkpoint() {
    let Some(disk) = Disk::new() else { return };
    let full = ["No space left on device", "free some space"];
    let elsewhere = tempfile::tempdir().unwrap();
    let last = elsewhere.path().join("last.safetensors");
    type With = Box<dyn FnOnce(Trainer<'static>) -> Trainer<'static>>;
    let logs: [fn(&Path) -> With; 3] = [
        |at| {
            let at = at.join("log.csv");
            Box::new(move |t| t.callback(Log::csv(at)))
        },
        |at| {
            let at = at.join("log.jsonl");
            Box::new(move |t| t.callback(Log::json_lines(at)))
        },
        |at| {
            let at = at.join("runs");
            Box::new(move |t| t.callback(TensorBoard::new(at)))
        },
    ];
    for log in logs {
        let place = disk.path().to_path_buf();
        let trained: &'static Sequential = Box::leak(Box::new(model()));
        let ballast = place.join("ballast");
        let mut training = log(&place)(trainer(trained, 300))
            .callback(Checkpoints::new(elsewhere.path()).unwrap())
            .on_epoch_end(move |run| {
                // What is left in the last page of the log may still be written, epoch for epoch.
                if run.epoch == 2 {
                    let _ = fs::write(&ballast, vec![1; 1 << 16]);
                }
                Ok(())
            });
        refused(training.fit(&examples(), None), disk.path(), &full);
        let saved: u64 = Checkpoint::read(&last).unwrap().meta("epoch").unwrap();
        assert!((2..300).contains(&saved), "{saved}");
        for name in disk.names() {
            let _ = fs::remove_file(disk.path().join(&name));
            let _ = fs::remove_dir_all(disk.path().join(&name));
        }
    }
}

/// A refusal ends the training, with the checkpoint of that epoch; nobody is told of a later one.
#[test]
fn a_callback_that_refuses_costs_no_checkpoint() {
    let place = tempfile::tempdir().unwrap();
    let (trained, log) = (model(), place.path().join("log"));
    let full = |epoch: u64| match epoch {
        3 => Err(Error::file(&log, "full")),
        _ => Ok(()),
    };
    let mut told = 0;
    let mut training = trainer(&trained, 5)
        .on_epoch_end(|run| full(run.epoch))
        .callback(Checkpoints::new(place.path()).unwrap())
        .on_epoch_end(|run| {
            told = run.epoch;
            full(run.epoch).map_err(|_| Error::argument("copy", "no error", "one"))
        });
    refused(training.fit(&examples(), None), &log, &["full"]);
    drop(training);
    assert_eq!(told, 3);
    let last = Checkpoint::read(place.path().join("last.safetensors")).unwrap();
    assert_eq!(last.meta::<u64>("epoch").unwrap(), 3);
}

#[test]
fn a_disk_that_becomes_read_only() {
    let Some(disk) = Disk::new() else { return };
    let file = disk.path().join("model.safetensors");
    let model = model();
    io::save(&file, &model).unwrap();
    let before = fs::read(&file).unwrap();
    assert!(mount(&["-o", "remount,ro"], disk.path()));
    refused(
        io::save(&file, &model),
        &file,
        &["Read-only file system", "allow writing there, or name another place"],
    );
    assert_eq!(fs::read(&file).unwrap(), before);
    io::load(&file, &model).unwrap();
}

const FOREIGN: &str = "TEALIGHT_TEST_FOREIGN_FOLDER";

/// What another user runs.
#[test]
fn in_a_foreign_folder() {
    let Some(folder) = std::env::var_os(FOREIGN).map(PathBuf::from) else { return };
    let denied = ["Permission denied", "allow writing there, or name another place"];
    refused(io::save(folder.join("model.safetensors"), &model()), &folder.join("model.safetensors"), &denied);
    refused(Checkpoints::new(folder.join("new")), &folder.join("new"), &denied);
    let model = model();
    let logged = trainer(&model, 1).callback(Log::csv(folder.join("log.csv"))).fit(&examples(), None);
    refused(logged, &folder.join("log.csv"), &denied);
    let board = trainer(&model, 1).callback(TensorBoard::new(folder.join("runs"))).fit(&examples(), None);
    refused(board, &folder.join("runs"), &denied);
    io::load(folder.join("model.safetensors"), &model).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let folder = tempfile::tempdir().unwrap();
    io::save(folder.path().join("model.safetensors"), &model()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "in_a_foreign_folder"]).env(FOREIGN, folder.path());
    if fs::write(folder.path().join("probe"), "").is_ok() {
        // Nothing stops this user: another one tries.
        fs::remove_file(folder.path().join("probe")).unwrap();
        program.uid(65534).gid(65534);
    }
    let tried = program.output();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    match tried {
        Ok(tried) => assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stdout)),
        Err(error) => println!("skipped: no other user can run this ({error})"),
    }
}

#[test]
fn a_checkpoint_directory_that_vanishes() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("checkpoints");
    let model = model();
    let trained = trainer(&model, 5)
        .callback(Checkpoints::new(&directory).unwrap())
        .on_epoch_end(|run| {
            if run.epoch == 3 {
                fs::remove_dir_all(&directory).unwrap();
            }
            Ok(())
        })
        .fit(&examples(), None);
    let said = [
        "No such file or directory",
        "make its directory first",
        "training stopped after step 6",
        "there is none from before",
    ];
    refused(trained, &directory.join("last.safetensors"), &said);
}

#[test]
fn pictures_that_vanish_or_are_cut_off_while_a_model_learns_from_them() {
    let place = tempfile::tempdir().unwrap();
    let image = Tensor::full(7_u8, (8, 8, 1), &Device::Cpu).unwrap();
    for (class, i) in [("a", 0), ("a", 1), ("b", 0), ("b", 1)] {
        fs::create_dir_all(place.path().join(class)).unwrap();
        data::image::write_png(place.path().join(class).join(format!("{i}.png")), &image).unwrap();
    }
    let victim = place.path().join("b/1.png");
    type Hurt = (&'static str, &'static str, fn(&Path));
    let hurt: [Hurt; 3] = [
        ("cut", "unexpected end of file", |file| fs::write(file, &fs::read(file).unwrap()[..30]).unwrap()),
        ("emptied", "an empty file", |file| fs::write(file, "").unwrap()),
        ("deleted", "No such file or directory", |file| fs::remove_file(file).unwrap()),
    ];
    let whole = fs::read(&victim).unwrap();
    for (how, said, hurt) in hurt {
        fs::write(&victim, &whole).unwrap();
        let images = ImageFolderOptions::new(8, 8).open(place.path()).unwrap();
        for threads in [0, 2] {
            let mut loader = DataLoader::new(&images, 2).unwrap().num_workers(threads);
            assert!(threads > 0 || loader.epoch().unwrap().all(|batch| batch.is_ok()), "{how}");
            hurt_once(&victim, hurt);
            let mut read: Vec<_> = loader.epoch().unwrap().collect();
            refused(read.pop().unwrap(), &victim, &[said]);
            assert!(read.iter().all(|batch| batch.is_ok()), "{how}");
        }
    }
}

fn hurt_once(file: &Path, hurt: fn(&Path)) {
    if fs::metadata(file).is_ok_and(|found| found.len() > 30) {
        hurt(file);
    }
}

/// Another program writes, cuts and deletes a file all the time: what reads it gets all, or an error that names it.
#[test]
fn files_that_change_while_they_are_read() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let x = Tensor::randn(0_f32, 1.0, (100, 20), &mut Rng::seed(1)).unwrap();
    io::write_npy(at("x.npy"), &x).unwrap();
    io::write_npz(at("x.npz"), &[("x".into(), x)].into()).unwrap();
    io::save(at("x.safetensors"), &model()).unwrap();
    let trained = model();
    trainer(&trained, 1).callback(Checkpoints::new(place.path()).unwrap()).fit(&examples(), None).unwrap();
    fs::write(at("x.csv"), "a,b,class\n".to_owned() + &"1,2,x\n3,4,y\n".repeat(500)).unwrap();
    fs::write(at("x.idx"), [&[0, 0, 8, 1, 0, 0, 16, 0][..], &[7; 4096]].concat()).unwrap();
    let image = Tensor::rand(0_f32, 255.0, (64, 64, 1), &mut Rng::seed(1)).unwrap();
    data::image::write_png(at("x.png"), &image.to_dtype(DType::U8).unwrap()).unwrap();

    type Read = fn(&Path) -> Result<()>;
    let readers: [(&str, Read); 7] = [
        ("x.npy", |file| io::read_npy(file).map(drop)),
        ("x.npz", |file| io::read_npz(file).map(drop)),
        ("x.safetensors", |file| io::load(file, &model())),
        ("last.safetensors", |file| Checkpoint::read(file).map(drop)),
        ("x.csv", |file| data::read_csv(file, &TableOptions::new().target("class")).map(drop)),
        ("x.idx", |file| data::read_idx(file).map(drop)),
        ("x.png", |file| data::image::read(file).map(drop)),
    ];
    for (name, read) in readers {
        let (file, done) = (at(name), AtomicBool::new(false));
        let whole = fs::read(&file).unwrap();
        read(&file).unwrap();
        let (mut got, mut errors) = (0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut rng = Rng::seed(9);
                while !done.load(Ordering::Relaxed) {
                    let kept = (rng.uniform() * whole.len() as f64) as usize;
                    fs::write(&file, &whole[..kept]).unwrap();
                    if kept.is_multiple_of(3) {
                        fs::remove_file(&file).unwrap();
                    }
                    fs::write(&file, &whole).unwrap();
                    thread::sleep(Duration::from_micros(200));
                }
            });
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(300)
                || (errors == 0 && started.elapsed() < Duration::from_secs(10))
            {
                match read(&file) {
                    Ok(()) => got += 1,
                    Err(error) => {
                        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
                        errors += 1;
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        println!("{name}: {got} times read, {errors} times refused");
        assert!(errors > 0, "{name}: nothing was ever refused");
    }
}
