//! What `tealight export` writes in C and in Rust, compiled, answers as `tealight predict`.

use std::fs;
use std::path::Path;
use std::process::Command;

use tealight::prelude::*;

use super::{folder, said, tealight, text};

/// What the compiled files print for this input: the outputs, in the shortest form that reads back as them.
fn outputs(here: &Path, input: &[f64], c_type: &str, n: usize, more: &[&str]) -> Vec<Vec<f64>> {
    let command = ["export", "model/model.safetensors", "--c", "model.c", "--rust", "model.rs"];
    let wrote = said(here, &[&command, more].concat());
    assert!(wrote.starts_with("wrote model.c ("), "{wrote}");
    let numbers = input.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(", ");
    let rust_type = if c_type == "double" { "f64" } else { "f32" };
    let main = format!(
        "#include <stdio.h>\n#include \"model.c\"\nint main(void) {{\n    {c_type} x[] = {{ {numbers} }}, y[{n}];\n    \
         model_run(x, y);\n    for (int i = 0; i < {n}; i += 1) printf(\"%.17g\\n\", (double)y[i]);\n    return 0;\n}}\n"
    );
    fs::write(here.join("main.c"), main).unwrap();
    let main = format!(
        "mod model;\nfn main() {{\n    let (x, mut y) = ([{numbers}], [0{rust_type}; {n}]);\n    \
         model::Model::new().run(&x, &mut y);\n    for y in y {{ println!(\"{{y:?}}\") }}\n}}\n"
    );
    fs::write(here.join("main.rs"), main).unwrap();
    let strict = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "main.c", "-o", "in-c"];
    let ways: [(&str, &[&str]); 2] =
        [("cc", &strict), ("rustc", &["--edition", "2024", "main.rs", "-o", "in-rust"])];
    let mut outputs = Vec::new();
    for (compiler, arguments) in ways {
        let Ok(compiled) = Command::new(compiler).current_dir(here).args(arguments).output() else {
            eprintln!("skipped: there is no {compiler} here");
            continue;
        };
        assert!(compiled.status.success(), "{}", text(&compiled.stderr));
        let program = here.join(arguments.last().expect("a name"));
        let answer = text(&Command::new(program).output().unwrap().stdout);
        outputs.push(answer.lines().map(|line| line.parse().unwrap()).collect());
    }
    outputs
}

#[test]
fn a_table() {
    let (here, mut table) = (folder(), String::from("area,rooms,price\n"));
    let here = here.path();
    for i in 0..60 {
        let (area, rooms) = (40 + i * 7 % 37 * 3, 1 + i % 5);
        table += &format!("{area},{rooms},{}\n", 3 * area + 20 * rooms);
    }
    fs::write(here.join("t.csv"), table).unwrap();
    said(here, &["train", "t.csv", "--out", "model", "--epochs", "3"]);
    fs::write(here.join("new.csv"), "area,rooms\n100,3\n").unwrap();
    let answers = said(here, &["predict", "model/model.safetensors", "new.csv", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&answers).unwrap();
    for y in outputs(here, &[100.0, 3.0], "double", 1, &[]) {
        assert_eq!(y, [answer["prediction"].as_f64().unwrap()]);
    }
    for y in outputs(here, &[100.0, 3.0], "double", 1, &["--int8", "--calibrate", "t.csv"]) {
        let expected = answer["prediction"].as_f64().unwrap();
        assert!((y[0] - expected).abs() < 15.0, "{y:?} {expected}");
    }
}

#[test]
fn pictures() {
    let here = folder();
    let here = here.path();
    let picture = |class: usize, seed: usize| -> Vec<u8> {
        (0..64)
            .map(|i| ((i * 31 + seed * 17) % 90 + if (i / 8 < 4) == (class == 0) { 120 } else { 5 }) as u8)
            .collect()
    };
    for (class, name) in ["bottom", "top"].iter().enumerate() {
        fs::create_dir_all(here.join("pictures").join(name)).unwrap();
        for seed in 0..8 {
            let image = Tensor::from_vec(picture(class, seed), (8, 8, 1), &Device::Cpu).unwrap();
            let path = here.join(format!("pictures/{name}/{seed}.png"));
            tealight::data::image::write_png(path, &image).unwrap();
        }
    }
    said(here, &["train", "pictures", "--size", "8", "--hidden", "4,8", "--out", "model", "--epochs", "3"]);
    let answer =
        text(&tealight(here, &["predict", "model/model.safetensors", "pictures/top/3.png", "--json"]).stdout);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let expected = ["bottom", "top"].map(|name| answer["probabilities"][name].as_f64().unwrap());
    let pixels: Vec<f64> = picture(1, 3).iter().map(|&x| f64::from(f32::from(x) / 255.0)).collect();
    for y in outputs(here, &pixels, "float", 2, &[]) {
        let scores: Vec<f32> = y.iter().map(|&y| y as f32).collect();
        let all = Tensor::from_vec(scores, (1, 2), &Device::Cpu).unwrap().softmax(1).unwrap();
        let got: Vec<f64> =
            all.to_vec2::<f32>().unwrap()[0].iter().map(|p| p.to_string().parse().unwrap()).collect();
        // Convolutions in tiles add in another order than those of the file, which then says so.
        match fs::read_to_string(here.join("model.c")).unwrap().contains("bit for bit") {
            true => assert_eq!(got, expected),
            false => {
                assert!(got.iter().zip(expected).all(|(p, q)| (p - q).abs() < 1e-6), "{got:?} {expected:?}")
            }
        }
    }
    // In integers nearly the same.
    let small = outputs(here, &pixels, "float", 2, &["--int8", "--calibrate", "pictures"]);
    for y in &small {
        let p = 1.0 / (1.0 + (y[0] - y[1]).exp());
        assert!((p - expected[1]).abs() < 0.1, "{y:?} {expected:?}");
        assert_eq!(y, &small[0]);
    }
    assert!(fs::read_to_string(here.join("model.c")).unwrap().contains("static const int8_t q0_weight["));
    assert_eq!(
        tealight(here, &["export", "model/model.safetensors", "--c", "x.c", "--int8"]).status.code(),
        Some(2)
    );
}
