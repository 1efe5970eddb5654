//! The program's model files: its own code, since a program has no names to call.
#![allow(dead_code)] // most of that code is for commands

#[path = "../../src/bin/tealight/failure.rs"]
mod failure;
#[path = "../../src/bin/tealight/inputs.rs"]
mod inputs;
#[path = "../../src/bin/tealight/model.rs"]
mod model;
#[path = "../../src/bin/tealight/options.rs"]
mod options;

use std::fs;
use std::path::Path;

use tealight::data::image::{Color, Interpolation};
use tealight::data::{Missing, TableOptions, TableSchema};
use tealight::prelude::*;

use super::file;
use failure::{Failure, one_line};
use inputs::{Inputs, Pictures};
use model::{Model, Plan, wide};
use options::{FitMode, Kind};

pub(super) fn check(path: &Path) {
    let model = match Model::read(path) {
        Ok(model) => model,
        Err(Failure::Message(text)) => return assert!(text.contains("file: "), "{text}"),
        Err(Failure::Library(error)) => return assert!(!one_line(&error).contains('\n'), "{error}"),
        Err(other) => panic!("{other:?}"),
    };
    let shape = model.plan.inputs.shape();
    if shape.iter().product::<usize>() < 1 << 12 {
        let shape = [&[2][..], &shape].concat();
        let zeros = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        if model.plan.classes.is_empty() {
            assert_eq!(model.numbers(&zeros).unwrap().len(), 2);
            model.target_mean().unwrap();
        } else {
            assert_eq!(model.probabilities(&zeros).unwrap().dims(), [2, model.plan.classes.len()]);
        }
    }
    model.write(path).unwrap();
    let first = fs::read(path).unwrap();
    Model::read(path).unwrap().write(path).unwrap();
    assert!(first == fs::read(path).unwrap());
}

/// Model files of every kind.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (_folder, path) = file(b"size,colour,kind\n1,red,a\n2,\"blue, pale\",b\n");
    let options = TableOptions::new().categorical_target().missing(Missing::Fill);
    let table = Inputs::Table(Box::new(TableSchema::infer(&path, &options).unwrap()));
    let image = |size, color| {
        Inputs::Images(Pictures {
            size,
            color,
            background: Some([9; 3]),
            interpolation: Interpolation::Bilinear,
            fit: FitMode::Pad,
        })
    };
    let made = |(kind, inputs, hidden): (Kind, Inputs, Vec<usize>)| {
        let plan = Plan { kind, inputs, hidden, classes: vec!["a".into(), "b".into()], balance: true };
        let scale = match &plan.inputs {
            Inputs::Table(schema) => wide(schema.features().len()),
            Inputs::Images(_) => Standardize::new_channels(plan.inputs.channels()),
        };
        let net = plan.build(scale.unwrap(), &mut Rng::seed(1)).unwrap();
        let mut model = Model { about: vec![("epochs".into(), "3".into())], ..Model::new(plan, net) };
        model.calibrate(1.5);
        model.write(&path).unwrap();
        fs::read(&path).unwrap()
    };
    [
        (Kind::Logistic, table.clone(), vec![]),
        (Kind::Mlp, table, vec![3, 2]),
        (Kind::Cnn, image(2, Color::Gray), vec![]),
        (Kind::Logistic, image(2, Color::Rgb), vec![]),
    ]
    .map(made)
    .into()
}
