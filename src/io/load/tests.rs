use super::*;
use crate::prelude::*;

fn net(inputs: usize, outputs: usize) -> Result<Sequential> {
    let rng = &mut Rng::seed(1);
    Ok(Sequential::new().push(Linear::new(inputs, 3, rng)?).push(Relu).push(Linear::new(3, outputs, rng)?))
}

fn tensors(shapes: &[(&str, &[usize])]) -> BTreeMap<String, Tensor> {
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    shapes.iter().map(|&(name, shape)| (name.to_string(), ones(shape))).collect()
}

fn numbers(model: &dyn Layer) -> Vec<Vec<f32>> {
    model.parameters().iter().map(|(_, p)| p.get().flatten(0, -1).unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn each_fault_is_named_and_nothing_changes() -> Result<()> {
    let model = net(2, 4)?;
    let before = numbers(&model);
    let file = tensors(&[
        ("0.weight", &[3, 2]),
        ("2.weight", &[5, 3]),
        ("2.bias", &[5]),
        ("head", &[1]),
        ("tail", &[]),
    ]);
    let strict = LoadOptions::new().load_tensors(file.clone(), &model).unwrap_err().to_string();
    assert!(
        strict.starts_with("LoadOptions: expected all tensors of the model and no other (io::LoadOptions renames,")
            && strict.ends_with(
                "), got 1 that fit; 1 missing: 0.bias; 2 unexpected: head, tail; 2 of another shape or dtype: \
                 2.weight (expected [4, 3] of f32, got [5, 3] of f32), 2.bias (expected [4] of f32, got [5] of f32)"
            ),
        "{strict}"
    );
    assert_eq!(numbers(&model), before);

    let loaded = LoadOptions::new().strict(false).load_tensors(file, &model)?;
    assert_eq!((loaded.loaded, loaded.missing), (vec!["0.weight".into()], vec!["0.bias".to_string()]));
    assert_eq!((loaded.unexpected, loaded.mismatched.len()), (vec!["head".into(), "tail".to_string()], 2));
    assert_eq!(loaded.mismatched[1].got, (vec![5], DType::F32));
    assert_eq!(numbers(&model)[0], [1.0; 6]);
    assert_eq!(numbers(&model)[1..], before[1..]);

    let many: Vec<String> = (0..45).map(|i| format!("x{i:02}")).collect();
    let many: Vec<(&str, &[usize])> = many.iter().map(|name| (name.as_str(), &[][..])).collect();
    let text = LoadOptions::new().load_tensors(tensors(&many), &Relu).unwrap_err().to_string();
    assert!(
        text.ends_with("45 unexpected: x00, x01, x02, x03, x04, x05, x06, x07, x08, x09 and 35 more"),
        "{text}"
    );
    assert_eq!(LoadOptions::new().load_tensors(BTreeMap::new(), &Relu)?, LoadReport::default());
    Ok(())
}

#[test]
fn names_are_mapped() -> Result<()> {
    let model = net(2, 4)?;
    let file = tensors(&[
        ("module.enc.weight", &[3, 2]),
        ("module.enc.bias", &[3]),
        ("module.head.weight", &[4, 3]),
        ("module.head.bias", &[4]),
    ]);
    let load = LoadOptions::new().rename("*.enc.*", "*.0.*").rename("module.head.*", "2.*");
    // Renamed to module.0.weight.
    let loaded = load.strict(false).load_tensors(file.clone(), &model)?;
    assert_eq!((loaded.loaded.len(), loaded.missing.len()), (2, 2));
    assert_eq!(loaded.unexpected, ["module.enc.bias", "module.enc.weight"]);
    let load = LoadOptions::new().rename("module.enc.*", "0.*").rename("module.head.*", "2.*");
    assert_eq!(load.load_tensors(file.clone(), &model)?.loaded.len(), 4);
    // The first rule that fits counts, and those behind it are in use, too.
    assert_eq!(load.rename("module.*", "x.*").load_tensors(file.clone(), &model)?.loaded.len(), 4);

    let refused = |load: LoadOptions| load.load_tensors(file.clone(), &model).unwrap_err().to_string();
    let text = refused(LoadOptions::new().rename("encoder.*", "0.*"));
    assert_eq!(
        text,
        "LoadOptions: expected a pattern that a name fits (module.enc.bias, module.enc.weight, module.head.bias, \
         module.head.weight), got rename(\"encoder.*\")"
    );
    assert!(
        refused(LoadOptions::new().strict(false).rename("*.enc.*", "0.*"))
            .contains("as many * in the new name")
    );
    let text = refused(
        LoadOptions::new().strict(false).rename("module.*.bias", "b*").rename("module.*.weight", "b*"),
    );
    assert!(text.contains("module.enc.bias and module.enc.weight, which both become benc"), "{text}");
    assert!(refused(LoadOptions::new().skip("tail*")).contains("got skip(\"tail*\")"));
    Ok(())
}

#[test]
fn what_is_skipped_stays() -> Result<()> {
    let model = net(2, 4)?;
    let head = numbers(&model)[2].clone();
    let file = tensors(&[("a.weight", &[3, 2]), ("a.bias", &[3]), ("z.weight", &[9, 3]), ("z.bias", &[9])]);
    let load = LoadOptions::new().rename("a.*", "0.*").rename("z.*", "2.*");
    // By its name in the file or in the model.
    for pattern in ["z.*", "2.*"] {
        let loaded = load.clone().skip(pattern).load_tensors(file.clone(), &model)?;
        assert_eq!(
            (&loaded.skipped[..], loaded.loaded.len()),
            (&["z.bias".into(), "z.weight".into()][..], 2)
        );
    }
    assert_eq!(numbers(&model)[2], head);
    // What the file does not have at all.
    let half = tensors(&[("0.weight", &[3, 2]), ("0.bias", &[3])]);
    assert!(LoadOptions::new().skip("2.*").load_tensors(half, &model)?.is_complete());
    Ok(())
}

#[test]
fn dtypes_are_converted_when_asked() -> Result<()> {
    let model = Linear::new(2, 1, &mut Rng::seed(1))?.without_bias();
    let half = Tensor::new(&[[0.5, -3.0]], &Device::Cpu)?.to_dtype(DType::F16)?;
    let file = BTreeMap::from([("weight".to_string(), half)]);
    let text = LoadOptions::new().load_tensors(file.clone(), &model).unwrap_err().to_string();
    assert!(text.ends_with("weight (expected [1, 2] of f32, got [1, 2] of f16)"), "{text}");
    LoadOptions::new().convert(true).load_tensors(file, &model)?;
    assert_eq!(model.weight.get().to_vec2::<f32>()?, [[0.5, -3.0]]);
    let whole = BTreeMap::from([("weight".to_string(), Tensor::new(&[[1_i64, 2]], &Device::Cpu)?)]);
    assert!(LoadOptions::new().convert(true).load_tensors(whole, &model).is_err());
    Ok(())
}

#[test]
fn counts_of_batches_and_tied_weights() -> Result<()> {
    let norm = BatchNorm1d::new(2)?;
    let names = ["weight", "bias", "running_mean", "running_var"];
    let without: Vec<(&str, &[usize])> = names.iter().map(|&name| (name, &[2][..])).collect();
    let loaded = LoadOptions::new().load_tensors(tensors(&without), &norm)?;
    assert_eq!((loaded.loaded.len(), loaded.is_complete()), (4, true));
    let mut with = tensors(&without[..2]);
    with.insert("num_batches_tracked".into(), Tensor::new(3_i64, &Device::Cpu)?);
    assert!(
        LoadOptions::new()
            .load_tensors(with.clone(), &BatchNorm1d::new(2)?.without_running_stats())?
            .is_complete()
    );
    let text = LoadOptions::new().load_tensors(with, &norm).unwrap_err().to_string();
    assert!(text.ends_with("3 that fit; 2 missing: running_mean, running_var"), "{text}");

    let rng = &mut Rng::seed(1);
    let first = Linear::new(2, 2, rng)?.without_bias();
    let second = first.clone();
    let tied = Sequential::new().push(first).push(second);
    assert!(LoadOptions::new().load_tensors(tensors(&[("1.weight", &[2, 2])]), &tied)?.is_complete());
    assert_eq!(numbers(&tied), [[1.0; 4], [1.0; 4]]);
    let mut both = tensors(&[("0.weight", &[2, 2]), ("1.weight", &[2, 2])]);
    assert_eq!(LoadOptions::new().load_tensors(both.clone(), &tied)?.loaded.len(), 2);
    both.insert("1.weight".into(), Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?);
    let text = LoadOptions::new().strict(false).load_tensors(both, &tied).unwrap_err().to_string();
    assert!(
        text.starts_with("LoadOptions: expected one value for 1.weight, which has another name"),
        "{text}"
    );
    assert_eq!(numbers(&tied), [[1.0; 4], [1.0; 4]]);
    Ok(())
}

#[test]
fn files() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    crate::io::save(&path, &net(2, 4)?)?;
    let text = LoadOptions::new().load(&path, &net(2, 5)?).unwrap_err().to_string();
    assert!(text.starts_with(&path.display().to_string()) && text.contains("2 of another shape"), "{text}");
    let text = LoadOptions::new().state_dict_key("model").load(&path, &net(2, 4)?).unwrap_err().to_string();
    assert!(
        text.ends_with("expected a file of PyTorch's with the key \"model\", got a safetensors file"),
        "{text}"
    );
    assert_eq!(LoadOptions::new().load(&path, &net(2, 4)?)?.loaded.len(), 4);
    Ok(())
}
