//! The plots, as scalable SVG with the width of a phone.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::color;
use crate::error::Error;

/// Width of every plot: pixels on a phone, scaled up on larger screens.
const WIDTH: u32 = 480;
/// Height of a row of bars or boxes.
const ROW: u32 = 22;
/// Space for the name of a row.
const NAMES: u32 = 96;
const GRID: RGBColor = RGBColor(221, 221, 221);
const INK: RGBColor = RGBColor(60, 60, 60);

/// Okabe and Ito's colors (2008), told apart by people with color-blindness, then darker and lighter ones.
const COLORS: [RGBColor; 12] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(148, 103, 57),
    RGBColor(0, 70, 110),
    RGBColor(130, 57, 0),
    RGBColor(0, 96, 70),
    RGBColor(125, 74, 102),
];

/// The color of series `i`.
pub(crate) fn series(i: usize) -> [u8; 3] {
    let RGBColor(r, g, b) = COLORS[i % COLORS.len()];
    [r, g, b]
}

/// A named row of a plot with a value for each series.
pub(crate) struct Row<T> {
    pub name: String,
    pub values: Vec<Option<T>>,
}

/// The five figures of a box plot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Box5 {
    /// Least, lower quartile, median, upper quartile, largest.
    pub at: [f64; 5],
}

impl Box5 {
    /// Of these values, with quartiles interpolated linearly; none without values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let quantile = |share: f64| {
            let place = share * last as f64;
            let (below, part) = (place.floor() as usize, place.fract());
            values[below] + part * (values[(below + 1).min(last)] - values[below])
        };
        Some(Self { at: [0.0, 0.25, 0.5, 0.75, 1.0].map(quantile) })
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, X> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, RangedCoordf64>>;

fn broken<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> Error {
    Error::Invalid(format!("cannot draw a plot: {error}"))
}

/// Draws on a white background of the given height.
fn draw(height: u32, fill: impl FnOnce(&Area) -> Result<(), Error>) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(broken)?;
        fill(&area)?;
        area.present().map_err(broken)?;
    }
    Ok(svg)
}

/// Text; the SVG's own size is about four fifths of `size`.
fn label(size: u32, at: Pos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(at)
}

/// Names of rows at the left of a chart whose rows are 0 to 1, 1 to 2 and so on from the top.
fn names<X: Ranged<ValueType = f64>>(area: &Area, chart: &Chart<X>, left: f64, rows: &[&str]) -> Result<(), Error> {
    let style = label(16, Pos::new(HPos::Right, VPos::Center));
    for (i, name) in rows.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(left, rows.len() as f64 - i as f64 - 0.5));
        area.draw_text(name, &style, (x - 6, y)).map_err(broken)?;
    }
    Ok(())
}

/// Horizontal bars: each row has one for each series, in the colors of [`series`]. The axis goes from `from` to `to`.
pub(crate) fn bars(rows: &[Row<f64>], [from, to]: [f64; 2], axis: &str) -> Result<String, Error> {
    let each = rows.iter().map(|row| row.values.len()).max().unwrap_or(1).max(1);
    let height = rows.len() as u32 * (8 + 12 * each as u32) + 56;
    draw(height, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(from..to, 0.0..rows.len().max(1) as f64)
            .map_err(broken)?;
        mesh(&mut chart, axis)?;
        for (i, row) in rows.iter().enumerate() {
            let top = rows.len() as f64 - i as f64 - 0.1;
            let thick = 0.8 / each as f64;
            for (s, value) in row.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let (high, low) = (top - s as f64 * thick, top - (s + 1) as f64 * thick);
                let bar = Rectangle::new([(from, high), (value.clamp(from, to), low)], COLORS[s].filled());
                chart.draw_series([bar]).map_err(broken)?;
                let (x, y) = chart.backend_coord(&(value.clamp(from, to), (high + low) / 2.0));
                // Inside the bar's end where there is no room beyond it.
                let inside = x > WIDTH as i32 - 52;
                let (anchor, shift) = if inside { (HPos::Right, -3) } else { (HPos::Left, 3) };
                let style = label(14, Pos::new(anchor, VPos::Center));
                let style = if inside { style.color(&WHITE) } else { style };
                area.draw_text(&format!("{value:.2}"), &style, (x + shift, y)).map_err(broken)?;
            }
        }
        let shown: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names(area, &chart, from, &shown)
    })
}

fn mesh<X: Ranged<ValueType = f64> + ValueFormatter<f64>>(chart: &mut Chart<X>, axis: &str) -> Result<(), Error> {
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(6)
        .axis_style(GRID)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .x_desc(axis)
        .label_style(label(15, Pos::default()))
        .axis_desc_style(label(15, Pos::default()))
        .draw()
        .map_err(broken)
}

/// Horizontal box plots on a logarithmic axis, one for each series of a row, in the colors of [`series`].
pub(crate) fn boxes(rows: &[Row<Box5>], axis: &str) -> Result<String, Error> {
    let largest = rows.iter().flat_map(|row| row.values.iter().flatten()).map(|b| b.at[4]).fold(10.0, f64::max);
    let each = rows.iter().map(|row| row.values.len()).max().unwrap_or(1).max(1);
    draw(rows.len() as u32 * (8 + 14 * each as u32) + 56, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(NAMES)
            .build_cartesian_2d((0.9..largest * 1.1).log_scale(), 0.0..rows.len().max(1) as f64)
            .map_err(broken)?;
        mesh(&mut chart, axis)?;
        for (i, row) in rows.iter().enumerate() {
            let top = rows.len() as f64 - i as f64 - 0.1;
            let thick = 0.8 / each as f64;
            for (s, found) in row.values.iter().enumerate() {
                let Some(Box5 { at: [least, lower, median, upper, largest] }) = *found else { continue };
                let (high, low) = (top - (s as f64 + 0.1) * thick, top - (s as f64 + 0.9) * thick);
                let middle = (high + low) / 2.0;
                let color = COLORS[s];
                chart
                    .draw_series([
                        PathElement::new([(least, middle), (lower, middle)], color),
                        PathElement::new([(upper, middle), (largest, middle)], color),
                        PathElement::new([(least, high), (least, low)], color),
                        PathElement::new([(largest, high), (largest, low)], color),
                    ])
                    .map_err(broken)?;
                let body = [(lower, high), (upper, low)];
                chart.draw_series([Rectangle::new(body, color.mix(0.35).filled())]).map_err(broken)?;
                chart.draw_series([Rectangle::new(body, color)]).map_err(broken)?;
                let line = PathElement::new([(median, high), (median, low)], color.stroke_width(3));
                chart.draw_series([line]).map_err(broken)?;
            }
        }
        let shown: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names(area, &chart, 0.9, &shown)
    })
}

/// A heat map: rows by columns, each cell a share with its value in per cent; the palest is 0 and the strongest `most`.
pub(crate) fn heat_map(rows: &[Row<f64>], columns: &[String], most: f64) -> Result<String, Error> {
    let height = (rows.len() as u32 + 1) * ROW + 8;
    let left = 64.0;
    let cell = (f64::from(WIDTH) - left - 8.0) / columns.len().max(1) as f64;
    draw(height, |area| {
        let centered = |size| label(size, Pos::new(HPos::Center, VPos::Center));
        let x = |column: usize| (left + cell * column as f64) as i32;
        for (c, column) in columns.iter().enumerate() {
            let at = (x(c) + (cell / 2.0) as i32, ROW as i32 / 2);
            area.draw_text(column, &centered(15), at).map_err(broken)?;
        }
        for (r, row) in rows.iter().enumerate() {
            let top = (r as i32 + 1) * ROW as i32;
            let style = label(16, Pos::new(HPos::Right, VPos::Center));
            area.draw_text(&row.name, &style, (left as i32 - 6, top + ROW as i32 / 2)).map_err(broken)?;
            for (c, value) in row.values.iter().enumerate() {
                let Some(value) = value else { continue };
                // The upper half of the scale, which goes from near white to red.
                let [r, g, b] = color(0.5 + 0.5 * value / most.max(1e-9));
                let corners = [(x(c), top), (x(c + 1) - 1, top + ROW as i32 - 1)];
                area.draw(&Rectangle::new(corners, RGBColor(r, g, b).filled())).map_err(broken)?;
                if cell >= 22.0 {
                    let at = (x(c) + (cell / 2.0) as i32, top + ROW as i32 / 2);
                    area.draw_text(&format!("{:.0}", 100.0 * value), &centered(13), at).map_err(broken)?;
                }
            }
        }
        Ok(())
    })
}

/// A line of a plot.
pub(crate) struct Line {
    /// `(x, y)` from left to right.
    pub points: Vec<(f64, f64)>,
    /// The index among the colors of [`series`].
    pub color: usize,
    /// Thinner and paler, for additional seeds.
    pub faint: bool,
}

/// Lines over updates, tokens, FLOPs or hours.
pub(crate) fn lines(lines: &[Line], across: &str, up: &str) -> Result<String, Error> {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let last = all().map(|p| p.0).fold(0.0, f64::max);
    let last = if last > 0.0 { last } else { 1.0 };
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| (low.min(p.1), high.max(p.1)));
    let (low, high) = match low < high {
        true => (low, high),
        // One value, or none: an axis needs a nonzero extent.
        false if low.is_finite() => (low - 1.0, low + 1.0),
        false => (0.0, 1.0),
    };
    let room = 0.05 * (high - low);
    draw(320, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(20)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..last, low - room..high + room)
            .map_err(broken)?;
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0$}", digits(last)))
            .y_label_formatter(&|y| format!("{y:.0$}", digits(2.0 * (high - low))))
            .axis_style(GRID)
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .x_desc(across)
            .y_desc(up)
            .label_style(label(15, Pos::default()))
            .axis_desc_style(label(15, Pos::default()))
            .draw()
            .map_err(broken)?;
        for line in lines {
            let color = COLORS[line.color % COLORS.len()];
            let style = if line.faint { color.mix(0.5).stroke_width(1) } else { color.stroke_width(2) };
            chart.draw_series([PathElement::new(line.points.clone(), style)]).map_err(broken)?;
        }
        Ok(())
    })
}

/// Decimal places that tell about six labels over an `extent` apart.
fn digits(extent: f64) -> usize {
    (1.0 - extent.log10().floor()).clamp(0.0, 4.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(Box5::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap().at, [1.0, 1.75, 2.5, 3.25, 4.0]);
        assert_eq!(Box5::of(vec![7.0]).unwrap().at, [7.0; 5]);
        assert_eq!(Box5::of(Vec::new()), None);
    }

    #[test]
    fn plots_hold_their_figures_and_nothing_from_elsewhere() {
        let row = |name: &str, values: [Option<f64>; 2]| Row { name: name.to_string(), values: values.to_vec() };
        let rows = [row("en-de", [Some(1.25), Some(2.0)]), row("a<b", [None, Some(1.5)])];
        let bar = bars(&rows, [1.0, 2.0], "RC").unwrap();
        for words in ["en-de", "a&lt;b", "1.25", "RC", "viewBox"] {
            assert!(bar.contains(words), "no `{words}` in {bar}");
        }
        let ranks = Row { name: "en-de".to_string(), values: vec![Box5::of(vec![3.0, 40.0, 500.0]), None] };
        assert!(boxes(&[ranks], "rank").unwrap().contains("en-de"));
        let map = heat_map(&rows, &["0".to_string(), "1".to_string()], 2.0).unwrap();
        assert!(map.contains(">125<") || map.contains("125\n"), "{map}");
        let line = Line { points: vec![(0.0, 9.0), (500.0, 4.0)], color: 13, faint: false };
        assert!(lines(&[line], "updates", "loss").unwrap().contains("updates"));
        assert!(lines(&[], "updates", "loss").is_ok() && bars(&[], [1.0, 2.0], "").is_ok());
    }
}
