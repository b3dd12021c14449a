//! The HTML around the plots: one page that needs nothing else, for phones, screens and paper.

use std::fmt::Write;

use super::color;
use crate::analysis::TokenCapacity;

const STYLE: &str = "
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff}
h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid #ccc}
h3{font-size:1rem;margin:1rem 0 .25rem}p{margin:.5rem 0;max-width:48rem}.note{color:#555;font-size:.875rem}
.scroll{overflow-x:auto;margin:.5rem 0}table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #e2e2e2;vertical-align:top;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}th{border-bottom:2px solid #888}
td.text{text-align:left;white-space:normal;min-width:14rem}tr.best td{font-weight:600}
.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 22rem;max-width:36rem;break-inside:avoid}
figcaption{font-size:.875rem;color:#555}svg{max-width:100%;height:auto;display:block}
.key{display:flex;flex-wrap:wrap;gap:.25rem .75rem;font-size:.875rem;margin:.25rem 0}.key i{display:inline-block;width:1rem;height:.25rem;
margin-right:.25rem;vertical-align:middle}.tokens{line-height:1.9}.tokens span{padding:.1em 0;color:#000}
details{margin:.75rem 0;border:1px solid #ccc;border-radius:.25rem;padding:0 .75rem}summary{cursor:pointer;font-weight:600;padding:.5rem 0}
@media print{body{max-width:none;padding:0;font-size:10pt}.scroll{overflow:visible}details{border:0;padding:0}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}h2,h3{break-after:avoid}tr{break-inside:avoid}}
";

/// A details element is open on paper whatever it is on the screen.
const SCRIPT: &str = "addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach(d=>d.open=true))";

/// A whole page.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{0}</h1>\n{body}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// A table that scrolls sideways when it is too wide.
pub(crate) struct Table {
    html: String,
}

impl Table {
    /// A table with these columns.
    pub fn new<S: AsRef<str>>(columns: &[S]) -> Self {
        let head: String = columns.iter().map(|column| format!("<th>{}</th>", escape(column.as_ref()))).collect();
        Self { html: format!("<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>\n") }
    }

    /// A row; `class` is empty or `best`.
    pub fn row<S: AsRef<str>>(&mut self, class: &str, cells: &[S]) {
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell.as_ref()))).collect();
        self.html += &format!("<tr class=\"{class}\">{cells}</tr>\n");
    }

    /// A row of a label and HTML.
    pub fn html_row(&mut self, label: &str, html: &str) {
        self.html += &format!("<tr><td>{}</td><td class=\"text\">{html}</td></tr>\n", escape(label));
    }

    /// The table.
    pub fn finish(self) -> String {
        self.html + "</tbody></table></div>\n"
    }
}

/// A plot with its caption.
pub(crate) fn figure(svg: &str, caption: &str) -> String {
    format!("<figure>{svg}<figcaption>{}</figcaption></figure>\n", escape(caption))
}

/// Plots side by side where there is room.
pub(crate) fn plots(figures: &[String]) -> String {
    format!("<div class=\"plots\">\n{}</div>\n", figures.concat())
}

/// Tokens on a background colored by requested capacity from 1 to `most`.
pub(crate) fn tokens(tokens: &[TokenCapacity], most: usize) -> String {
    let mut html = "<span class=\"tokens\" dir=\"auto\">".to_string();
    for token in tokens {
        let share = (token.requested_capacity - 1.0) / (most.max(2) - 1) as f64;
        let [r, g, b] = color(share);
        let text = escape(&token.piece.replace('\u{2581}', " "));
        // Writing to a String cannot fail.
        let _ = write!(
            html,
            "<span style=\"background:#{r:02x}{g:02x}{b:02x}\" title=\"RC {:.2}\">{text}</span>",
            token.requested_capacity
        );
    }
    html + "</span>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let piece = TokenCapacity { piece: "\u{2581}<b>&\"'".to_string(), requested_capacity: 2.0 };
        let html = tokens(&[piece], 2);
        assert!(html.contains("background:#f4a582") && html.contains("> &lt;b&gt;&amp;&quot;&#39;<"), "{html}");
        let mut table = Table::new(&["<i>"]);
        table.row("", &["<script>"]);
        let html = page("<x>", &table.finish());
        assert!(html.contains("<h1>&lt;x&gt;</h1>") && html.contains("<td>&lt;script&gt;</td>"), "{html}");
        assert_eq!(html.matches("<script>").count(), 1, "only the page's own");
    }
}
