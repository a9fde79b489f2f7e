//! Pictures that stand beside words: line drawings on a grid of 24, drawn for these pages.

use askama::filters::HtmlSafe;

/// One of them, by name. Hidden from screen readers: a word always stands beside it or on its button.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Icon(pub(crate) &'static str);

impl Icon {
    fn strokes(self) -> &'static str {
        match self.0 {
            "overview" => "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",
            "sources" => {
                "M12 3c4.400 0 8 1.300 8 3s-3.600 3-8 3-8-1.300-8-3 3.600-3 8-3zM4 6v12c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12c0 1.700 3.600 3 8 3s8-1.300 8-3"
            }
            "discovery" => "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.500 4.500M8 11h6M11 8v6",
            "catalog" => "M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11M9 8h6",
            "targets" => {
                "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 12h.01"
            }
            "scans" => {
                "M12 3l8 3v6c0 4.500-3.200 7.600-8 9-4.800-1.400-8-4.500-8-9V6zM8.500 12l2.500 2.500 4.500-5"
            }
            "audit" => "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7",
            "settings" => "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5",
            "book" => {
                "M4 5c3-1 5.500-1 8 1 2.500-2 5-2 8-1v14c-3-1-5.500-1-8 1-2.500-2-5-2-8-1zM12 6v14"
            }
            "search" => "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.500 4.500",
            "plus" => "M12 5v14M5 12h14",
            "sync" => {
                "M20 11a8 8 0 0 0-14.500-4L4 9M4 4v5h5M4 13a8 8 0 0 0 14.500 4L20 15M20 20v-5h-5"
            }
            "edit" => "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
            "delete" => "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
            "link" => {
                "M10 14a4 4 0 0 0 5.700 0l3-3a4 4 0 0 0-5.700-5.700L12 6.300M14 10a4 4 0 0 0-5.700 0l-3 3a4 4 0 0 0 5.700 5.700l1-1"
            }
            "unlink" => {
                "M9 15l-2.500 2.500a3.500 3.500 0 0 1-5-5M15 9l2.500-2.500a3.500 3.500 0 0 1 5 5M8 4v3M4 8h3M16 20v-3M20 16h-3"
            }
            "hide" => {
                "M4 4l16 16M9.900 5.700A9 9 0 0 1 12 5.500c4.500 0 7.500 3.500 9 6.500a14 14 0 0 1-2.600 3.500M6.300 7.600A14 14 0 0 0 3 12c1.500 3 4.500 6.500 9 6.500a9 9 0 0 0 4.300-1.100M10 10a2.800 2.800 0 0 0 4 4"
            }
            "show" => {
                "M3 12c1.500-3 4.500-6.500 9-6.500s7.500 3.500 9 6.500c-1.500 3-4.500 6.500-9 6.500S4.500 15 3 12zM12 9.200a2.800 2.800 0 1 0 0 5.600 2.800 2.800 0 0 0 0-5.600z"
            }
            "close" => "M6 6l12 12M18 6L6 18",
            "chevron" => "M9 5l7 7-7 7",
            "sort" => "M12 5v14M6 13l6 6 6-6",
            "copy" => "M9 9h11v11H9zM5 15H4V4h11v1",
            "download" => "M12 4v11M7 11l5 5 5-5M4 20h16",
            "upload" => "M12 20V9M7 13l5-5 5 5M4 4h16",
            "file" => "M6 3h9l4 4v14H6zM14 3v5h5",
            "globe" => {
                "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c2.500 2.500 3.800 5.500 3.800 9s-1.300 6.500-3.800 9c-2.500-2.500-3.800-5.500-3.800-9S9.500 5.500 12 3z"
            }
            "paste" => "M8 5H5v16h14V5h-3M9 3h6v4H9zM9 12h6M9 16h6",
            "traffic" => "M3 8h13M12 4l4 4-4 4M21 16H8M12 12l-4 4 4 4",
            "sun" => {
                "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2"
            }
            "moon" => "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
            "screen" => "M3 5h18v11H3zM9 20h6M12 16v4",
            "menu" => "M4 7h16M4 12h16M4 17h16",
            "good" => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12.500l2.800 2.800L16 9.500",
            "warn" => "M12 4l9 16H3zM12 10v4M12 17h.01",
            "bad" => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.500v5.500M12 16.500h.01",
            "key" => "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 13l9-9M16 8l3 3",
            "users" => {
                "M9 5a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM2.500 20c.5-4 3-6 6.500-6s6 2 6.500 6M16 5.500a3.300 3.300 0 0 1 0 6.200M18 14.500c2 .8 3.200 2.600 3.500 5.500"
            }
            "out" => "M10 4H5v16h5M15 8l4 4-4 4M19 12H9",
            _ => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5.500M12 7.500h.01",
        }
    }
}

impl std::fmt::Display for Icon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" stroke-linecap=\"round\" \
             stroke-linejoin=\"round\" aria-hidden=\"true\" focusable=\"false\"><path d=\"{}\"/></svg>",
            self.strokes()
        )
    }
}

impl HtmlSafe for Icon {}
