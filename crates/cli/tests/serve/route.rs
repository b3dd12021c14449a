//! The routing of every token.

use serde_json::json;

use crate::common::http::{Server, TEXT, folder, post};

#[test]
fn routes_name_strata_experts_and_probabilities_of_every_token() {
    let here = folder("serve-route");
    let server = Server::start(&here, "../served/run");
    let ask =
        json!({ "q": "The old dog. A cat.", "source": "en", "target": "qaa", "scores": true, "alignments": true });
    let found = post(&server, "/v1/route", &ask).json();
    assert_eq!(found["model"]["strata"], json!([2, 2]));
    assert_eq!((&found["model"]["encoder_layers"], &found["model"]["kind"]), (&json!([1]), &json!("smoe")));
    let sentences = found["sentences"].as_array().unwrap();
    assert_eq!(sentences.len(), 2);
    let mut visits = 0;
    for sentence in sentences {
        for side in ["source", "target"] {
            let tokens = sentence[side]["tokens"].as_array().unwrap();
            assert_eq!(tokens[0]["piece"], "<2qaa>");
            let words: String =
                sentence[side]["words"].as_array().unwrap().iter().map(|word| word["text"].as_str().unwrap()).collect();
            assert_eq!(sentence[side]["text"], words);
            // The last token that is written may not have been read.
            for token in &tokens[..tokens.len() - 1] {
                let of = token["blocks"][0]["visits"].as_array().unwrap();
                assert!((1..=2).contains(&of.len()), "{token}");
                visits += of.len();
                for visit in of {
                    let experts: Vec<u64> =
                        visit["experts"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap()).collect();
                    let first = 2 * visit["stratum"].as_u64().unwrap();
                    assert!(experts.len() == 2 && experts.iter().all(|e| (first..4).contains(e)), "{visit}");
                    let p: Vec<f64> =
                        visit["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
                    assert!(p[0] >= p[1] && p[1] > 0.0 && p[0] + p[1] <= 1.0001, "{visit}");
                }
            }
        }
        assert!(sentence["score"].as_f64().unwrap() < 0.0);
        let words = |side: &str| sentence[side]["words"].as_array().unwrap().len() as u64;
        let pairs = sentence["alignment"].as_array().unwrap();
        assert!(
            pairs.iter().all(|p| p[0].as_u64().unwrap() < words("source") && p[1].as_u64().unwrap() < words("target"))
        );
    }
    assert!(visits > 10);
    let plain = post(&server, "/v1/route", &json!({ "q": TEXT, "target": "qaa" })).json();
    assert!(plain["sentences"][0].get("alignment").is_none() && plain["sentences"][0].get("score").is_none());
}
