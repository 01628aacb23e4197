//! One plot as inline SVG: lines or stacked areas over an axis. It needs no script: what the pointer rests on is said by
//! the browser's own tooltip.

use std::fmt::Write;

use super::escape;
use super::scale::Scale;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 32.0;
/// A line of so few points shows each of them.
const DOTS_MAX: usize = 40;

/// A line, or an area above the one before it.
pub(super) struct Curve {
    pub name: &'static str,
    /// Its colour: 1 to 4.
    pub colour: u8,
    pub is_area: bool,
    /// `None` where nothing is known: the line is broken there.
    pub points: Vec<(f64, Option<f64>)>,
}

pub(super) struct Plot<'a> {
    pub title: String,
    pub x: Scale,
    pub y: Scale,
    pub x_text: &'a dyn Fn(f64) -> String,
    pub y_text: &'a dyn Fn(f64) -> String,
    pub curves: Vec<Curve>,
    /// The part of the x axis that is measured.
    pub measured: Option<(f64, f64)>,
    /// What is said about a part of the x axis.
    pub tips: Vec<(f64, f64, String)>,
}

impl Plot<'_> {
    pub(super) fn to_html(&self) -> String {
        let mut out = format!("<figure><figcaption>{}{}</figcaption>", escape(&self.title), self.legend());
        let title = escape(&self.title);
        let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
        self.write_band(&mut out);
        self.write_axes(&mut out);
        self.write_curves(&mut out);
        for (from, to, text) in &self.tips {
            let (left, right) = (self.left(*from), self.left(*to));
            let (width, height) = ((right - left).max(1.0), HEIGHT - TOP - BOTTOM);
            let _ = write!(
                out,
                "<rect class=\"tip\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"><title>{}</title></rect>",
                escape(text)
            );
        }
        out + "</svg></figure>\n"
    }

    fn left(&self, x: f64) -> f64 {
        LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT)
    }

    fn top(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM)
    }

    fn legend(&self) -> String {
        if self.curves.len() < 2 {
            return String::new();
        }
        let entry = |curve: &Curve| format!("<span class=\"key c{}\">{}</span>", curve.colour, escape(curve.name));
        self.curves.iter().map(entry).collect()
    }

    fn write_band(&self, out: &mut String) {
        let Some((from, to)) = self.measured else { return };
        let (left, right) = (self.left(from), self.left(to));
        let (width, height) = (right - left, HEIGHT - TOP - BOTTOM);
        let _ = write!(
            out,
            "<rect class=\"band\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>\
             <text class=\"note\" x=\"{:.1}\" y=\"{}\">measured</text>",
            left + 4.0,
            TOP - 7.0
        );
    }

    fn write_axes(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y.ticks() {
            let y = self.top(tick);
            let text = escape(&(self.y_text)(tick));
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>",
                LEFT - 7.0,
                y + 4.0
            );
        }
        for tick in self.x.ticks() {
            let (x, text) = (self.left(tick), escape(&(self.x_text)(tick)));
            let _ = write!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/><text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>",
                bottom + 19.0
            );
        }
        let _ = write!(out, "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>");
    }

    fn write_curves(&self, out: &mut String) {
        let mut below: Vec<f64> = Vec::new();
        for curve in &self.curves {
            let mut points = curve.points.clone();
            if curve.is_area {
                below.resize(points.len(), 0.0);
                points.iter_mut().zip(&below).for_each(|(point, below)| {
                    point.1 = point.1.map(|y| y + below);
                });
            }
            for part in points.split(|(_, y)| y.is_none()).filter(|part| !part.is_empty()) {
                let places: Vec<(f64, f64)> =
                    part.iter().map(|(x, y)| (self.left(*x), self.top(y.unwrap_or(0.0)))).collect();
                if curve.is_area {
                    let floor: Vec<(f64, f64)> = part
                        .iter()
                        .map(|(x, _)| {
                            let at = points.iter().position(|point| point.0 == *x).unwrap_or(0);
                            (self.left(*x), self.top(below[at]))
                        })
                        .collect();
                    write_area(out, curve.colour, &places, &floor);
                }
                write_line(out, curve.colour, &places);
            }
            if curve.is_area {
                below.iter_mut().zip(&points).for_each(|(below, point)| *below = point.1.unwrap_or(*below));
            }
        }
    }
}

fn write_line(out: &mut String, colour: u8, places: &[(f64, f64)]) {
    let _ = write!(out, "<polyline class=\"line c{colour}\" points=\"{}\"/>", coordinates(places.iter()));
    if places.len() <= DOTS_MAX {
        for (x, y) in places {
            let _ = write!(out, "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\"/>");
        }
    }
}

fn write_area(out: &mut String, colour: u8, places: &[(f64, f64)], floor: &[(f64, f64)]) {
    let around = coordinates(places.iter().chain(floor.iter().rev()));
    let _ = write!(out, "<polygon class=\"area c{colour}\" points=\"{around}\"/>");
}

fn coordinates<'a>(places: impl Iterator<Item = &'a (f64, f64)>) -> String {
    places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_is_known_and_areas_are_stacked() {
        let curve = |colour, is_area, points: &[(f64, Option<f64>)]| {
            let name = "a<b";
            Curve { name, colour, is_area, points: points.to_vec() }
        };
        let text = |value: f64| value.to_string();
        let mut plot = Plot {
            title: "t".to_owned(),
            x: Scale::time(4.0),
            y: Scale::linear(10.0),
            x_text: &text,
            y_text: &text,
            curves: vec![curve(1, false, &[(0.0, Some(1.0)), (1.0, None), (2.0, Some(1.0)), (3.0, Some(2.0))])],
            measured: Some((1.0, 3.0)),
            tips: vec![(0.0, 1.0, "\"1\" & 2".to_owned())],
        };
        let html = plot.to_html();
        assert_eq!((html.matches("<polyline").count(), html.matches("class=\"key").count()), (2, 0));
        assert!(html.contains("&quot;1&quot; &amp; 2") && html.contains("measured"));
        plot.curves = vec![curve(1, true, &[(0.0, Some(2.0))]), curve(2, true, &[(0.0, Some(3.0))])];
        let html = plot.to_html();
        let top = format!("cy=\"{:.1}\"", plot.top(5.0));
        assert!(html.contains(&top) && html.contains("a&lt;b"), "3 on top of 2 is at 5: {html}");
    }
}
