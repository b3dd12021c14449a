//! Reports: one file, which looks right on a phone.

use crate::common::folder;
use crate::study;

#[test]
fn reports_are_one_file_that_needs_nothing_else() {
    let here = study("study-report");
    here.strata("analyze ../run ../prepared --max-sentences 4 --min-count 1 --html capacity.html").succeeds();
    here.strata("study study.toml --only moe-4.seed1,smoe-2-2.seed1").succeeds();
    for (file, words) in [
        (
            "capacity.html",
            ["RC by direction", "RC by block", "frequency rank", "expert use by language", "routed alike"],
        ),
        ("out/study.html", ["Scores", "Training", "Translations side by side", "SMoE-2-2", "expert use by language"]),
    ] {
        let page = here.read(file);
        for word in words {
            assert!(page.contains(word), "{file} has no `{word}`");
        }
        assert!(
            page.starts_with("<!doctype html>") && page.contains("name=\"viewport\"") && page.contains("@media print")
        );
        for (opened, closed) in
            [("<svg", "</svg>"), ("<table", "</table>"), ("<figure", "</figure>"), ("<details", "</details>")]
        {
            assert_eq!(page.matches(opened).count(), page.matches(closed).count(), "{file}: {opened}");
        }
        assert!(page.matches("<svg").count() >= 4, "{file}");
        // No address but the name of SVG's own namespace, nothing that is loaded.
        let without = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "@import", "url(", "<link"] {
            assert!(!without.contains(outside), "{file} has {outside}");
        }
    }
}

#[test]
fn reports_look_right_in_a_browser() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        std::process::Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    }) else {
        return strata_testing::skip("reports_look_right_in_a_browser", "no Chromium; the package chromium brings it");
    };
    let here = folder("browser");
    here.strata("analyze ../run ../prepared --max-sentences 4 --min-count 1 --html page.html").succeeds();
    let page = here.path("page.html");
    let open = |arguments: &[String]| {
        let mut command = std::process::Command::new(browser);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ]);
        command.args(["--disable-component-update", "--disable-sync", "--disable-quic"]);
        command.arg(format!("--user-data-dir={}", here.path("profile").display()));
        command.args(arguments).arg(format!("file://{}", page.display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // A page that measures itself at a phone's width: the body is no wider than the window, and no plot sticks out.
    let measure = "<script>addEventListener('load',()=>{const wide=[...document.querySelectorAll('svg,p,h1,h2,h3')]\
                   .filter(e=>e.getBoundingClientRect().right>innerWidth+1).length;document.title='window '+innerWidth+\
                   ' body '+document.documentElement.scrollWidth+' out '+wide+' plots '+document.querySelectorAll('svg').length})</script>";
    let whole = here.read("page.html");
    here.write("page.html", whole.replace("</body>", &format!("{measure}</body>")));
    for width in [500, 1280] {
        let dom = open(&["--dump-dom".to_string(), format!("--window-size={width},900")]);
        let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).expect(&dom).0;
        let numbers: Vec<u32> = title.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [window, body, out, plots] = numbers[..] else { panic!("`{title}`") };
        assert!(body <= window && out == 0 && plots >= 4, "`{title}` at {width}");
    }
    let picture = here.path("page.png");
    open(&[format!("--screenshot={}", picture.display()), "--window-size=500,2400".to_string()]);
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes", bytes.len());
}
