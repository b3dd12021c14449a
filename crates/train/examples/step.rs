//! scratch
fn main() {
    let strata = std::env::args().nth(1).unwrap_or_default();
    let o = strata_train::bench::StepOptions { layers: 3, d_model: 512, d_ffn: 2048, heads: 8, vocab: 16000, moe_every: 2, top_k: 2, batch: 32, length: 32, steps: 6,
        strata: strata.split(',').filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect(), dropout: 0.1, attention_dropout: 0.0, device: "cpu".into() };
    println!("{}", serde_json::to_string(&strata_train::bench::train_step(&o).unwrap()).unwrap());
}
