//! Scratch.
use std::time::Instant;
use strata_corpus::prepare::{Event, Options, prepare};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut o = Options::new(&a[1], &a[2]);
    o.force = true;
    if let Some(json) = a.get(3) {
        let mut v = serde_json::to_value(&o).unwrap();
        let extra: serde_json::Value = serde_json::from_str(json).unwrap();
        fn merge(a: &mut serde_json::Value, b: &serde_json::Value) {
            match (a, b) {
                (serde_json::Value::Object(a), serde_json::Value::Object(b)) => {
                    for (k, v) in b {
                        merge(a.entry(k).or_insert(serde_json::Value::Null), v)
                    }
                }
                (a, b) => *a = b.clone(),
            }
        }
        merge(&mut v, &extra);
        o = serde_json::from_value(v).unwrap();
    }
    let t = Instant::now();
    let mut last = String::new();
    let r = prepare(&o, &mut |e: Event| {
        let s = format!("{e:?}");
        let key = s.split([' ', '{']).next().unwrap().to_string();
        if key != last {
            println!("{:7.2} s {s}", t.elapsed().as_secs_f64());
            last = key;
        }
    });
    println!("{:7.2} s done", t.elapsed().as_secs_f64());
    match r {
        Ok(r) => print!("{r}"),
        Err(e) => println!("error: {e}"),
    }
    if let Ok(s) = std::fs::read_to_string("/proc/self/status") {
        print!("{}", s.lines().filter(|l| l.starts_with("VmHWM")).collect::<String>());
        println!();
    }
}
