//! Pages of lists: where one ends and the next begins.

use serde::{Deserialize, Serialize};

/// Some elements of a list and the place of the last one, when more follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The elements, in order.
    pub items: Vec<T>,
    /// Where the next page begins after; `None` on the last page.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Makes a page of at most `size` elements from a read of at most one more.
    #[must_use]
    pub fn cut(mut items: Vec<T>, size: u64, cursor: impl Fn(&T) -> C) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// A place in a list that is ordered by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCursor {
    /// The last name of the page before.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_after_the_last_shown_element() {
        let page = Page::cut(vec![1, 2, 3], 2, |item| *item);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(2)));
        let last = Page::cut(vec![1, 2], 2, |item| *item);
        assert_eq!((last.items, last.next), (vec![1, 2], None));
    }
}
