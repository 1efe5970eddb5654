//! What a training and an evaluation say of a model: which predictions are wrong, how sure the score is, whether the
//! probabilities are true.

use std::fs;

use serde_json::Value;
use tealight::prelude::*;

use super::{error, folder, said, tealight, text};

/// Rows of two classes; the number tells the class but for the rows whose class is turned around.
fn noisy(rows: usize, turned: &[usize]) -> String {
    (0..rows).fold("x,y\n".into(), |table, i| {
        let class = (i % 2 == 1) != turned.contains(&i);
        table + &format!("{}.{},{}\n", [1, 4][i % 2], i * 37 % 100, ["low", "high"][usize::from(class)])
    })
}

#[test]
fn the_most_confident_errors_are_listed() {
    let here = folder();
    let here = here.path();
    fs::write(here.join("t.csv"), noisy(60, &[])).unwrap();
    fs::write(here.join("wrong.csv"), noisy(40, &[6, 23])).unwrap();
    said(here, &["train", "t.csv", "--epochs", "60", "--folds", "0"]);
    let evaluate = ["evaluate", "model/model.safetensors", "wrong.csv"];
    let out = said(here, &evaluate);
    let list = out.split("\nwrong, the most confident first:\n").nth(1).unwrap();
    let mut lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.remove(0), ["row", "true", "answer", "probability"]);
    lines.sort();
    assert_eq!(
        [lines[0][..3].to_vec(), lines[1][..3].to_vec()],
        [["24", "low", "high"], ["7", "high", "low"]]
    );
    let scores: Value = serde_json::from_str(&said(here, &[&evaluate[..], &["--json"]].concat())).unwrap();
    let errors = scores["errors"].as_array().unwrap();
    let probability = |i: usize| errors[i]["probability"].as_f64().unwrap();
    assert!(errors.len() == 2 && probability(0) >= probability(1) && probability(1) > 0.5, "{scores}");
    // What `predict` says of that row.
    let line = said(here, &["predict", "model/model.safetensors", "wrong.csv", "--json"]);
    let answers: Vec<Value> = line.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = errors[0]["row"].as_u64().unwrap() as usize;
    assert_eq!(
        (&answers[row - 1]["class"], &answers[row - 1]["probability"]),
        (&errors[0]["answer"], &errors[0]["probability"])
    );

    said(here, &[&evaluate[..], &["--report", "page.html"]].concat());
    let page = fs::read_to_string(here.join("page.html")).unwrap();
    for part in [
        "<h2>Wrong, the most confident first</h2>",
        "<th scope=\"row\">24</th><td>low</td><td>high</td>",
        "<h2>Calibration</h2>",
        "<h2>ROC</h2>",
        "<td>tealight evaluate model/model.safetensors wrong.csv --report page.html</td>",
        "Columns, by how much the accuracy falls when the column is shuffled",
    ] {
        assert!(page.contains(part), "{part}");
    }

    // None right: statsmodels' proportion_confint(0, 40, method="wilson") is 0 and 0.0876.
    fs::write(here.join("none.csv"), noisy(40, &(0..40).collect::<Vec<_>>())).unwrap();
    let out = said(here, &["evaluate", "model/model.safetensors", "none.csv"]);
    assert!(out.contains("it could be 0.0 to 8.8 %\nno better than guessing\n"), "{out}");

    // The largest residuals of a regression; row 31 is far off.
    let price = |i: usize| format!("{i},{}\n", if i == 30 { 900 } else { 3 * i });
    let table = (0..60).fold("x,price\n".to_string(), |table, i| table + &price(i));
    fs::write(here.join("prices.csv"), table).unwrap();
    let out = said(here, &["train", "prices.csv", "--model", "logistic", "--force", "--folds", "3"]);
    let list = out.split("\nlargest residuals:\n").nth(1).unwrap();
    let first: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(first[..2], ["31", "900.0"], "{list}");
    assert_eq!(list.lines().take_while(|line| !line.starts_with("wrote")).count(), 11, "{list}");
}

#[test]
fn few_examples_are_cross_validated() {
    let here = folder();
    let here = here.path();
    fs::write(here.join("t.csv"), noisy(60, &[6, 23])).unwrap();
    let out = said(here, &["train", "t.csv"]);
    assert!(out.contains("\n5 folds: each row for validation once\nfold 1 of 5\n"), "{out}");
    // Every row is validated, and the two that are turned around cannot be right.
    assert!(out.contains("  96.7 % of the validation rows right (58 of 60)\n"), "{out}");
    assert!(out.contains("; on other rows of this kind it could be 88.6 to 99.1 %\n"), "{out}");
    let line = out
        .lines()
        .find_map(|line| line.strip_prefix("5 of 5 folds; each at the best epoch of the others: "))
        .unwrap();
    let (epochs, rest) = line.split_once("; the model: ").unwrap();
    let epochs: Vec<u64> = epochs.split(", ").map(|epoch| epoch.parse().unwrap()).collect();
    let all: u64 = rest.strip_suffix(" epochs on all 60 rows").unwrap().parse().unwrap();
    assert!(epochs.len() == 5 && (1..=100).contains(&all), "{line}");
    for (fold, epochs) in (1..).zip(&epochs) {
        let again = format!("\nfold {fold} of 5 again, for {epochs} epochs\n");
        let before = format!("\nfold {fold} of 5\n");
        assert!(out.contains(&before) && (out.contains(&again) || !out.contains(&again[..17])), "{out}");
    }
    let list = out.split("\nwrong, the most confident first:\n").nth(1).unwrap();
    let mut rows: Vec<&str> =
        list.lines().skip(1).take(2).map(|line| line.split(' ').next().unwrap()).collect();
    rows.sort();
    assert_eq!(rows, ["24", "7"]);
    let about = said(here, &["inspect", "model/model.safetensors"]);
    assert!(about.contains("\nfolds ") && !about.contains("validation share"), "{about}");
    assert!(about.contains("\ntraining examples      60\n"), "{about}");
    let page = fs::read_to_string(here.join("model/report.html")).unwrap();
    assert!([">fold 5<", ">kept<", ">training<"].iter().all(|part| page.contains(part)));

    let once = said(here, &["train", "t.csv", "--folds", "1", "--force", "--epochs", "2"]);
    assert!(once.contains("\n48 for training, 12 for validation\n"), "{once}");
    let out = said(here, &["train", "t.csv", "--folds", "3", "--force", "--epochs", "2"]);
    assert!(out.contains("\n3 folds: each row for validation once\n"), "{out}");
    fs::write(here.join("many.csv"), noisy(200, &[])).unwrap();
    let out = said(here, &["train", "many.csv", "--force", "--epochs", "1"]);
    assert!(out.contains("\n160 for training, 40 for validation\n"), "{out}");
    // Three rows of the rare class are in three folds.
    fs::write(
        here.join("rare.csv"),
        (0..40)
            .fold("x,y\n".to_string(), |t, i| t + &format!("{i},{}\n", ["a", "b"][usize::from(i % 15 == 9)])),
    )
    .unwrap();
    let out = said(here, &["train", "rare.csv", "--force", "--epochs", "1"]);
    assert!(out.contains("a 37 of 37, b 0 of 3\n") || out.contains(" of 37, b "), "{out}");
}

/// Nobody foresees a coin, and no fold may choose the epoch at which it looks as if.
#[test]
fn a_coin_is_not_foreseen() {
    let score = |seed: u64| {
        let here = folder();
        let here = here.path();
        let rng = &mut Rng::seed(seed);
        let mut sides: Vec<&str> = (0..60).map(|i| ["heads", "tails"][i % 2]).collect();
        let table = (0..60).fold("a,b,c,y\n".to_string(), |table, _| {
            let [a, b, c, side] = [0; 4].map(|_| rng.uniform());
            let side = sides.swap_remove((side * sides.len() as f64) as usize);
            table + &format!("{a:.3},{b:.3},{c:.3},{side}\n")
        });
        fs::write(here.join("t.csv"), table).unwrap();
        let train = ["train", "t.csv", "--epochs", "20", "--hidden", "8", "--learning-rate", "0.02"];
        let out = said(here, &train);
        let right = out.lines().find(|line| line.contains(" % of the validation rows right")).unwrap();
        let interval = out.split("it could be ").nth(1).unwrap().split(" %").next().unwrap();
        let [right, low, high] =
            [right.trim().split(' ').next(), interval.split(' ').next(), interval.split(' ').nth(2)]
                .map(|number| number.unwrap().parse::<f64>().unwrap());
        (right, low <= 50.0 && 50.0 <= high)
    };
    let scores: Vec<(f64, bool)> = (0..20).map(score).collect();
    let mean = scores.iter().map(|(right, _)| right).sum::<f64>() / 20.0;
    let held = scores.iter().filter(|(_, holds)| *holds).count();
    assert!((mean - 50.0).abs() <= 2.0 && held >= 17, "{mean} {held} {scores:?}");
}

/// A balanced score is compared with guessing in a balanced way.
#[test]
fn balance_is_judged_as_balance() {
    let here = folder();
    let here = here.path();
    // 90 rows of one class and 10 of the other, and the number says nothing much.
    let row = |i: usize| format!("{},{}\n", i * 7919 % 1000, if i % 10 == 3 { "rare" } else { "usual" });
    fs::write(here.join("t.csv"), (0..300).fold("x,y\n".to_string(), |t, i| t + &row(i))).unwrap();
    let out = said(here, &["train", "t.csv", "--balance", "--epochs", "5"]);
    let line = out.lines().find(|line| line.contains("right on average of the classes")).unwrap();
    assert!(line.contains("guessing gives 50.0 %; on other rows of this kind it could be "), "{line}");
    let found = out.lines().find_map(|line| line.strip_prefix("found of each class: rare ")).unwrap();
    let counts: Vec<f64> =
        found.replace(", usual", " of").split(" of ").map(|n| n.trim().parse().unwrap()).collect();
    let balanced = 50.0 * (counts[0] / counts[1] + counts[2] / counts[3]);
    assert!(line.starts_with(&format!("{balanced:.1} % right")), "{line} {counts:?}");
    // So does the evaluation.
    let out = said(here, &["evaluate", "model/model.safetensors", "t.csv"]);
    assert!(out.contains("right on average of the classes; guessing gives 50.0 %; on other"), "{out}");
}

/// Labels that are wrong by chance make a model overconfident; a temperature takes that back.
#[test]
fn probabilities_are_calibrated() {
    let here = folder();
    let here = here.path();
    let rng = &mut Rng::seed(4);
    let mut table = |rows: usize| {
        (0..rows).fold("a,b,c,y\n".to_string(), |table, _| {
            let [a, b, c] = [0; 3].map(|_| rng.uniform());
            let class = if rng.uniform() < 0.25 { a < 0.5 } else { a >= 0.5 };
            table + &format!("{a:.3},{b:.3},{c:.3},{}\n", if class { "yes" } else { "no" })
        })
    };
    fs::write(here.join("t.csv"), table(600)).unwrap();
    fs::write(here.join("new.csv"), table(1000)).unwrap();
    let out =
        said(here, &["train", "t.csv", "--learning-rate", "0.02", "--epochs", "60", "--patience", "60"]);
    assert!(out.contains("\nprobabilities calibrated (temperature "), "{out}");
    let model = "model/model.safetensors";
    let about = said(here, &["inspect", model]);
    let line = about.lines().find_map(|line| line.strip_prefix("temperature ")).unwrap();
    let t: f64 = line.trim().parse().unwrap();
    assert!((0.3..10.0).contains(&t) && t != 1.0, "{t}");
    let scores: Value = serde_json::from_str(&said(here, &["evaluate", model, "new.csv", "--json"])).unwrap();
    assert!(scores["calibration_error"].as_f64().unwrap() < 0.08, "{scores}");
    // `predict`, `evaluate` and the exported model agree: the first two are one function, the third has the layer.
    let line = said(here, &["predict", model, "new.csv", "--json"]);
    let loss = |(line, row): (&str, &str)| {
        let answer: Value = serde_json::from_str(line).unwrap();
        -answer["probabilities"][row.rsplit(',').next().unwrap()].as_f64().unwrap().ln()
    };
    let rows = fs::read_to_string(here.join("new.csv")).unwrap();
    let mean = line.lines().zip(rows.lines().skip(1)).map(loss).sum::<f64>() / 1000.0;
    assert!((mean - scores["log_loss"].as_f64().unwrap()).abs() < 1e-5, "{mean} {scores}");
    // With few predictions there is none.
    fs::write(here.join("few.csv"), noisy(60, &[3])).unwrap();
    assert!(!said(here, &["train", "few.csv", "--force", "--epochs", "5"]).contains("calibrated"));
}

#[test]
fn which_epoch_is_kept() {
    let here = folder();
    let here = here.path();
    let turned: Vec<usize> = (0..40).map(|i| i * 7919 % 200).collect();
    fs::write(here.join("t.csv"), noisy(200, &turned)).unwrap();
    let train = |epochs: usize, options: &[&str]| {
        let epochs = epochs.to_string();
        let fixed =
            ["train", "t.csv", "--force", "--folds", "0", "--learning-rate", "0.02", "--epochs", &epochs];
        let out = said(here, &[&fixed[..], options].concat());
        (out, said(here, &["inspect", "model/model.safetensors"]))
    };
    let kept = |out: &str| {
        let line = out.lines().find(|line| line.starts_with("12 epochs; kept the best, number ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    // The scores of each epoch are those of a training that ends there and keeps the last.
    let right: Vec<usize> = (1..=12)
        .map(|epochs| {
            let (out, about) = train(epochs, &["--keep", "last"]);
            assert!(out.contains("; kept the last\n"), "{out}");
            assert!(about.contains("\nepoch kept             the last\n"), "{about}");
            let line = out.lines().find(|line| line.contains("of the validation rows right")).unwrap();
            line.split_once('(').unwrap().1.split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    let first = 1 + right.iter().position(|count| Some(count) == right.iter().max()).unwrap();
    let (out, about) = train(12, &["--score", "accuracy", "--patience", "12"]);
    assert_eq!(kept(&out), first, "{right:?}");
    assert!(about.contains("\nepoch kept             the best validation accuracy\n"), "{about}");
    let (out, about) = train(12, &["--patience", "12"]);
    assert_ne!(kept(&out), first, "these data do not tell the two scores apart");
    assert!(about.contains("\nepoch kept             the best validation loss\n"), "{about}");

    let numbers = (0..60).fold("x,y\n".to_string(), |table, i| table + &format!("{i},{}\n", 3 * i));
    fs::write(here.join("numbers.csv"), numbers).unwrap();
    let output = tealight(here, &["train", "numbers.csv", "--out", "numbers", "--score", "accuracy"]);
    let expected = "error: --score accuracy: expected classes, got a numeric target\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), expected));
}

#[test]
fn the_column_that_matters() {
    let here = folder();
    let here = here.path();
    let row = |i: usize| {
        let colour = ["red", "green", "blue"][i * 5 % 3];
        format!(
            "{},{colour},{},{}\n",
            i * 7919 % 100,
            i * 104_729 % 100,
            ["no", "yes"][usize::from(colour == "red")]
        )
    };
    fs::write(here.join("t.csv"), (0..300).fold("x,colour,z,y\n".to_string(), |t, i| t + &row(i))).unwrap();
    said(here, &["train", "t.csv"]);
    let page = fs::read_to_string(here.join("model/report.html")).unwrap();
    let part =
        page.split("when the column is shuffled</h2>").nth(1).unwrap().split("</table>").next().unwrap();
    let row = |column: &str| {
        let cells = part.split(&format!("<th scope=\"row\">{column}</th><td>")).nth(1).unwrap();
        cells.split('<').next().unwrap().parse::<f64>().unwrap()
    };
    // A third of 60 rows is red: a shuffled column is right in 1 − 2·⅓·⅔ of them.
    assert!(
        (row("colour") - 4.0 / 9.0).abs() < 0.12 && row("x").abs() < 0.05 && row("z").abs() < 0.05,
        "{part}"
    );
    assert!(part.find("colour") < part.find(">x<") && part.contains("width: 100.0%"), "{part}");
}

/// Wide pictures with a mark at the left end or at the right one: the middle square has neither.
#[test]
fn pictures_keep_their_proportions() {
    let here = folder();
    let here = here.path();
    for (class, start) in [("left", 0), ("right", 36)] {
        fs::create_dir_all(here.join("photos").join(class)).unwrap();
        for i in 0..12u8 {
            let pixel = |p: usize| {
                if (start + usize::from(i % 4)..start + 8).contains(&(p % 48)) { 255 } else { 30 + i }
            };
            let image =
                Tensor::from_vec((0..12 * 48).map(pixel).collect::<Vec<u8>>(), (12, 48, 1), &Device::Cpu)
                    .unwrap();
            tealight::data::image::write_png(here.join(format!("photos/{class}/{i}.png")), &image).unwrap();
        }
    }
    let train = |fit: &[&str]| {
        let train = ["train", "photos", "--size", "12", "--model", "logistic", "--force", "--folds", "3"];
        let out = said(here, &[&train[..], fit].concat());
        let share = out.lines().find(|line| line.contains("of the validation images right")).unwrap();
        share.trim().split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    for (fit, right) in [
        (&[][..], true),
        (&["--fit", "stretch"], true),
        (&["--fit", "crop"], false),
        (&["--fit", "pad"], true),
    ] {
        assert_eq!(train(fit) == 100.0, right, "{fit:?}");
        let about = said(here, &["inspect", "model/model.safetensors"]);
        assert!(about.contains(&format!(", fit {}, ", fit.get(1).unwrap_or(&"pad"))), "{about}");
    }
    // `predict` fits them the same way.
    assert!(said(here, &["predict", "model/model.safetensors", "photos/right/3.png"]).contains("\tright\t"));
}

/// The first job of docs/cli.md's readers: a regression on a table with semicolons and decimal commas.
#[test]
fn a_price_from_a_european_table() {
    let here = folder();
    let here = here.path();
    let row = |i: usize| {
        let (area, year, place) =
            (40.0 + (i * 37 % 80) as f64 / 2.0, 1950 + i * 13 % 70, ["Nord", "Süd"][i % 2]);
        let price = 2.5 * area + (year - 1950) as f64 / 2.0 + [0.0, 40.0][i % 2];
        format!("{area:.1};{year};{place};{price:.2}\r\n").replace('.', ",")
    };
    let table = (0..150).fold("Fläche;Baujahr;Lage;Preis\r\n".to_string(), |t, i| t + &row(i));
    let windows: Vec<u8> = table.chars().map(|c| c as u8).collect();
    fs::write(here.join("häuser.csv"), windows).unwrap();
    let out =
        said(here, &["train", "häuser.csv", "--target", "Preis", "--out", "haus", "--model", "logistic"]);
    let first = "read as: ; between columns, decimal comma, windows-1252, 3 numbers, 1 word\n";
    assert!(out.starts_with(first), "{out}");
    let line = out.lines().find_map(|line| line.strip_prefix("validation rows: R² ")).unwrap();
    assert!(line[..6].parse::<f64>().unwrap() > 0.95 && line.contains("(the mean alone: "), "{line}");
    assert!(out.contains("\nlargest residuals:\nrow"), "{out}");
    fs::write(here.join("neu.csv"), "Lage;Fläche;Baujahr\r\nSüd;70,5;2000\r\nNord;50,0;1960\r\n").unwrap();
    let answers = said(here, &["predict", "haus/model.safetensors", "neu.csv"]);
    for (line, price) in answers.lines().skip(1).zip([241.25, 130.0]) {
        let answer: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
        assert!((answer - price).abs() < 15.0, "{answers}");
    }
    let page = fs::read_to_string(here.join("haus/report.html")).unwrap();
    for part in [
        "Preis",
        "Largest residuals",
        "the R² falls when",
        "read as",
        "häuser.csv",
        "Residuals, on validation data",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

/// The second: photos of three classes, some turned by the phone.
#[test]
fn photos_of_three_fruits() {
    let here = folder();
    let here = here.path();
    let source = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/images/turned.jpg")).unwrap();
    for (class, name) in ["apple", "banana", "cherry"].iter().enumerate() {
        let place = here.join("photos").join(name);
        fs::create_dir_all(&place).unwrap();
        for i in 0..20usize {
            let rng = &mut Rng::seed((100 * class + i) as u64);
            let (height, width) = [(24, 32), (32, 24), (28, 28)][i % 3];
            let noise = Tensor::rand(0f32, 0.5, (height, width, 3), rng).unwrap();
            let mut pixels = noise.flatten(0, -1).unwrap().to_vec1::<f32>().unwrap();
            for (p, pixel) in pixels.chunks_mut(3).enumerate() {
                let (y, x) =
                    ((p / width) as f64 - height as f64 / 2.0, (p % width) as f64 - width as f64 / 2.0);
                // Every sixth has the colour of another class.
                if x.hypot(y) < 8.0 {
                    pixel[(class + usize::from(i % 6 == 5)) % 3] += 0.5;
                }
            }
            let image = Tensor::from_vec(pixels, (height, width, 3), &Device::Cpu).unwrap();
            tealight::data::image::write_png(place.join(format!("{i:02}.png")), &image).unwrap();
        }
    }
    fs::write(here.join("photos/apple/turned.jpg"), &source).unwrap();
    fs::write(here.join("photos/apple/empty.jpg"), "").unwrap();
    let output = tealight(here, &["train", "photos", "--size", "12", "--model", "mlp", "--out", "fruit"]);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{notes}");
    assert!(notes.contains("1 of 62 files skipped"), "{notes}");
    assert!(out.starts_with("61 images of 3 classes: apple (21), banana (20), cherry (20)\n5 folds: each image for validation once\n"), "{out}");
    let share = out.lines().find(|line| line.contains("of the validation images right (")).unwrap();
    let right: f64 = share.split('(').nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    // Ten are as another class.
    assert!((44.0..=56.0).contains(&right), "{out}");
    // Wilson's interval of that many.
    let (n, z2) = (61.0, 1.959_963_984_540_054_f64.powi(2));
    let (p, middle) = (right / n, (right + z2 / 2.0) / (n + z2));
    let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    let expected =
        format!("it could be {:.1} to {:.1} %\n", 100.0 * (middle - half), 100.0 * (middle + half));
    assert!(out.contains(&expected), "{expected} {out}");
    let list = out.split("\nwrong, the most confident first:\n").nth(1).unwrap();
    let turned = ["05.png", "11.png", "17.png"];
    let of: Vec<&str> = list.lines().skip(1).take(10).collect();
    assert!(of.iter().all(|line| line.starts_with("photos/")), "{list}");
    let odd = of.iter().filter(|line| turned.iter().any(|name| line.contains(name))).count();
    assert!(odd >= 4, "{list}");
    let page = fs::read_to_string(here.join("fruit/report.html")).unwrap();
    let images = page.matches("<img alt=\"picture\" src=\"data:image/png;base64,").count();
    assert_eq!(images, page.matches("<img alt=\"what mattered\" src=").count());
    assert_eq!(images, 61 - right as usize);
    for part in ["empty.jpg", "3 classes", "fold 5", "it could be", "<h2>ROC</h2>", ">cherry ("] {
        assert!(page.contains(part), "{part}");
    }
    let scores = said(here, &["evaluate", "fruit/model.safetensors", "photos/../photos", "--json"]);
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert!(scores["errors"][0]["path"].as_str().unwrap().contains(".png"), "{scores}");
    assert!(error(here, &["train", "photos", "--out", "fruit"]).contains("--force replaces it"));
}
