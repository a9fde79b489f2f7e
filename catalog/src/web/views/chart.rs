//! The picture of what was found over time: bars for what came, a line for what is known.
//!
//! In: numbers per day, week or month. Out: coordinates of an SVG drawing. Whole and half pixels only, and nothing but numbers: the drawing
//! is text of a template.

use std::fmt::Write as _;

/// What was found in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// Its first day: `2026-03-02`.
    pub(crate) day: String,
    /// Found in it.
    pub(crate) found: u64,
    /// Known at its end.
    pub(crate) known: u64,
}

/// The drawing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chart {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) grid: Vec<Grid>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) area: String,
    pub(crate) line: String,
    pub(crate) days: Vec<Label>,
    pub(crate) points: Vec<Point>,
    /// In words, for those who do not see it.
    pub(crate) summary: String,
    /// `2026-03-02 to 2026-05-11`.
    pub(crate) span: String,
    /// `day` or `week`.
    pub(crate) step: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Grid {
    pub(crate) at: u32,
    pub(crate) text_at: u32,
    pub(crate) label: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) title: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) at: u32,
    pub(crate) label: String,
}

const WIDTH: u32 = 760;
const HEIGHT: u32 = 240;
const LEFT: u32 = 46;
const TOP: u32 = 12;
const BOTTOM: u32 = 212;

impl Chart {
    /// Draws at most the last 400 points.
    pub(crate) fn new(mut points: Vec<Point>, step: &'static str) -> Chart {
        let skip = points.len().saturating_sub(400);
        points.drain(..skip);
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Chart::default();
        };
        let most = points
            .iter()
            .map(|p| p.known.max(p.found))
            .max()
            .unwrap_or(0);
        let top = round_up(most.max(4));
        let right = WIDTH - 14;
        let room = u64::from(right - LEFT);
        let number = points.len() as u64;
        let y = |value: u64| {
            let tall = u64::from(BOTTOM - TOP) * value / top;
            BOTTOM - u32::try_from(tall).unwrap_or(0)
        };
        let x = |at: u64| LEFT + u32::try_from(room * (2 * at + 1) / (2 * number)).unwrap_or(0);
        let wide = u32::try_from((room / number * 6 / 10).clamp(2, 34)).unwrap_or(2);
        let mut line = String::new();
        let mut bars = Vec::new();
        let mut days = Vec::new();
        let every = points.len().div_ceil(8);
        for (at, point) in points.iter().enumerate() {
            let (px, py) = (x(at as u64), y(point.known));
            let _ = write!(line, "{}{px} {py}", if at == 0 { "M" } else { "L" });
            if point.found > 0 {
                let by = y(point.found).min(BOTTOM - 2);
                bars.push(Bar {
                    x: px - wide / 2,
                    y: by,
                    width: wide,
                    height: BOTTOM - by,
                    title: format!(
                        "{}: {} found, {} known",
                        point.day, point.found, point.known
                    ),
                });
            }
            if at % every == every / 2 {
                days.push(Label {
                    at: px,
                    label: point.day.get(5..).unwrap_or(&point.day).to_owned(),
                });
            }
        }
        // A single point has no line: it is drawn through its stretch.
        if number == 1 {
            let level = y(last.known);
            line = format!("M{} {level}L{} {level}", LEFT + 8, right - 8);
        }
        let (begin, end) = if number == 1 {
            (LEFT + 8, right - 8)
        } else {
            (x(0), x(number - 1))
        };
        let area = format!("{line}L{end} {BOTTOM}L{begin} {BOTTOM}Z");
        let grid = (0..=4_u64)
            .map(|quarter| {
                let value = top * quarter / 4;
                Grid {
                    at: y(value),
                    text_at: LEFT - 8,
                    label: super::thousands(value),
                }
            })
            .collect();
        Chart {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right,
            grid,
            bars,
            area,
            line,
            days,
            summary: format!(
                "APIs known: {} on {}, {} on {}",
                first.known, first.day, last.known, last.day
            ),
            span: if number == 1 {
                first.day.clone()
            } else {
                format!("{} to {}", first.day, last.day)
            },
            points,
            step,
        }
    }
}

/// The next of 4, 8, 12, 20, 40, 80, 120, 200, …: four even steps make a whole scale.
fn round_up(value: u64) -> u64 {
    let mut scale = 4_u64;
    loop {
        for factor in [1, 2, 3] {
            if scale.saturating_mul(factor) >= value {
                return scale.saturating_mul(factor);
            }
        }
        scale = match scale.checked_mul(5) {
            Some(next) if next / 5 == scale && scale.is_multiple_of(20) => scale.saturating_mul(2),
            Some(next) => next,
            None => return u64::MAX,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(day: &str, found: u64, known: u64) -> Point {
        Point {
            day: day.to_owned(),
            found,
            known,
        }
    }

    #[test]
    fn the_scale_holds_what_is_drawn() {
        for value in [1, 4, 5, 9, 13, 61, 100, 999, 12_345, u64::MAX / 8] {
            let top = round_up(value);
            assert!(top >= value && top.is_multiple_of(4), "{value}: {top}");
            assert!(top <= value.max(4).saturating_mul(3), "{value}: {top}");
        }
    }

    #[test]
    fn any_number_of_points_is_drawn_within_the_frame() {
        assert!(Chart::new(Vec::new(), "day").points.is_empty());
        for number in [1_u64, 2, 7, 90, 400, 1_000] {
            let points = (0..number)
                .map(|at| point("2026-01-01", at % 3, at * 7))
                .collect();
            let chart = Chart::new(points, "day");
            assert!(chart.points.len() <= 400);
            for bar in &chart.bars {
                assert!(
                    bar.x >= LEFT - 20 && bar.x + bar.width <= WIDTH + 20,
                    "{bar:?}"
                );
                assert!(bar.y >= TOP && bar.y + bar.height == BOTTOM, "{bar:?}");
            }
            assert!(chart.line.starts_with('M'), "{}", chart.line);
        }
    }
}
