//! One panel: a question, where its answer comes from, and how it is drawn.

use serde_json::{Value, json};

/// Units by Grafana's names.
pub(super) const BYTES: &str = "bytes";
pub(super) const BYTES_PER_SECOND: &str = "binBps";
pub(super) const SECONDS: &str = "s";
pub(super) const DAYS: &str = "d";
pub(super) const PER_SECOND: &str = "ops";
pub(super) const RATIO: &str = "percentunit";
pub(super) const COUNT: &str = "short";

/// What every expression selects by: `@` in the texts of the panels stands for this.
const SELECTION: &str = "job=~\"$job\",zone=~\"$zone\",node=~\"$node\"";

/// Panels under one heading.
#[derive(Clone, Debug)]
pub struct Row {
    title: &'static str,
    /// From left to right, and on in the next line.
    pub panels: Vec<Panel>,
}

impl Row {
    pub(super) fn new(title: &'static str, panels: Vec<Panel>) -> Row {
        Row { title, panels }
    }

    pub(super) fn heading(&self, id: u32, y: u32) -> Value {
        json!({
            "id": id, "type": "row", "title": self.title, "collapsed": false, "panels": [],
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// One figure.
    Stat,
    /// Lines over time.
    Lines,
    /// Areas on top of each other over time.
    Stack,
    /// A row for each series, the largest first.
    Ranking,
}

/// One panel.
#[derive(Clone, Debug)]
pub struct Panel {
    look: Look,
    /// The question that it answers.
    pub title: &'static str,
    /// How to read the answer.
    pub description: &'static str,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// Columns of 24.
    pub(super) width: u32,
    /// Expression, as Grafana gets it, and legend.
    pub queries: Vec<(String, String)>,
    /// The role without which a grid has no answer.
    pub needs: Option<&'static str>,
    steps: Vec<(f64, &'static str)>,
    base: &'static str,
}

fn panel(
    look: Look,
    width: u32,
    title: &'static str,
    description: &'static str,
    unit: &'static str,
) -> Panel {
    Panel {
        look,
        title,
        description,
        unit,
        width,
        queries: Vec::new(),
        needs: None,
        steps: Vec::new(),
        base: "green",
    }
}

/// One figure.
pub(super) fn stat(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Look::Stat, 6, title, description, unit)
}

/// Lines over time.
pub(super) fn lines(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Look::Lines, 12, title, description, unit)
}

/// Areas on top of each other over time.
pub(super) fn stack(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Look::Stack, 12, title, description, unit)
}

/// The largest now, by name.
pub(super) fn ranking(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Look::Ranking, 12, title, description, unit)
}

impl Panel {
    /// Asks this too; `@` stands for the chosen grid, zones and nodes.
    pub(super) fn ask(mut self, expression: &str, legend: &str) -> Panel {
        self.queries
            .push((expression.replace('@', SELECTION), legend.to_owned()));
        self
    }

    /// Asks for the median, the ninth tenth and the hundredth of a histogram, over all chosen nodes.
    pub(super) fn ask_quantiles(self, histogram: &str, matchers: &str) -> Panel {
        [
            ("0.5", "half below"),
            ("0.9", "90 % below"),
            ("0.99", "99 % below"),
        ]
        .into_iter()
        .fold(self, |panel, (quantile, legend)| {
            let rate = format!("rate({histogram}_bucket{{@{matchers}}}[$__rate_interval])");
            panel.ask(
                &format!("histogram_quantile({quantile}, sum by (le) ({rate}))"),
                legend,
            )
        })
    }

    /// Colours from these values on; below the first one the panel is green.
    pub(super) fn warn(mut self, steps: &[(f64, &'static str)]) -> Panel {
        self.steps = steps.to_vec();
        self
    }

    /// Low values are bad: red below the first step.
    pub(super) fn bad_below(mut self, steps: &[(f64, &'static str)]) -> Panel {
        self.base = "red";
        self.steps = steps.to_vec();
        self
    }

    /// Stays empty in a grid where no node has this role.
    pub(super) fn needs(mut self, role: &'static str) -> Panel {
        self.needs = Some(role);
        self
    }

    /// Columns of 24.
    pub(super) fn wide(mut self, width: u32) -> Panel {
        self.width = width;
        self
    }

    pub(super) fn height(&self) -> u32 {
        if self.look == Look::Stat { 5 } else { 8 }
    }

    pub(super) fn to_json(&self, id: u32, x: u32, y: u32) -> Value {
        let instant = matches!(self.look, Look::Ranking);
        let target = |(index, (expression, legend)): (usize, &(String, String))| {
            let letter = char::from(b'A' + u8::try_from(index).expect("a panel has few queries"));
            json!({
                "refId": letter.to_string(), "datasource": datasource(), "editorMode": "code", "expr": expression,
                "legendFormat": legend, "instant": instant, "range": !instant
            })
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        let mut steps = vec![json!({"color": self.base, "value": null})];
        steps.extend(
            self.steps
                .iter()
                .map(|(value, color)| json!({"color": color, "value": value})),
        );
        json!({
            "id": id, "type": self.kind(), "title": self.title, "description": self.description,
            "datasource": datasource(), "gridPos": {"h": self.height(), "w": self.width, "x": x, "y": y},
            "targets": targets,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit, "min": 0,
                    "color": {"mode": if self.is_drawn() { "palette-classic" } else { "thresholds" }},
                    "thresholds": {"mode": "absolute", "steps": steps},
                    "custom": self.drawing()
                },
                "overrides": []
            },
            "options": self.options()
        })
    }

    fn is_drawn(&self) -> bool {
        matches!(self.look, Look::Lines | Look::Stack)
    }

    fn kind(&self) -> &'static str {
        match self.look {
            Look::Stat => "stat",
            Look::Lines | Look::Stack => "timeseries",
            Look::Ranking => "bargauge",
        }
    }

    fn drawing(&self) -> Value {
        if !self.is_drawn() {
            return json!({});
        }
        let stacked = self.look == Look::Stack;
        let marks = if self.steps.is_empty() { "off" } else { "dashed" };
        json!({
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": if stacked { 30 } else { 0 }, "showPoints": "never",
            "stacking": {"mode": if stacked { "normal" } else { "none" }, "group": "A"},
            "thresholdsStyle": {"mode": marks}
        })
    }

    fn options(&self) -> Value {
        let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.look {
            Look::Stat => json!({
                "reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "justifyMode": "auto",
                "orientation": "auto", "textMode": "auto"
            }),
            Look::Lines | Look::Stack => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["mean", "max", "lastNotNull"]},
                "tooltip": {"mode": "multi", "sort": "desc"}
            }),
            Look::Ranking => json!({
                "reduceOptions": reduce, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
                "valueMode": "color", "minVizWidth": 8, "minVizHeight": 16
            }),
        }
    }
}

/// The Prometheus that the reader has chosen.
pub(super) fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}
