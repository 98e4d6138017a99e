//! Lists that have one element as a rule.

use std::ops::{Deref, DerefMut};

/// A list of which a chain has a million, and which as a rule has one element: that lies in place, without an
/// allocation of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Few<T> {
    /// The only one.
    One(T),
    /// None, or two and more.
    Several(Box<[T]>),
}

impl<T> Few<T> {
    /// Puts an element in, before the one that was at this place.
    pub(crate) fn insert(&mut self, at: usize, element: T) {
        let mut all = std::mem::take(self).into_vec();
        all.reserve_exact(1);
        all.insert(at, element);
        *self = all.into();
    }

    /// Drops what is not to be kept.
    pub(crate) fn retain(&mut self, is_kept: impl FnMut(&T) -> bool) {
        let mut all = std::mem::take(self).into_vec();
        all.retain(is_kept);
        *self = all.into();
    }

    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(only) => vec![only],
            Self::Several(all) => all.into_vec(),
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut all: Vec<T>) -> Self {
        match all.pop() {
            Some(only) if all.is_empty() => Self::One(only),
            Some(last) => {
                all.push(last);
                Self::Several(all.into())
            }
            None => Self::default(),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Several(all) => all,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(only) => std::slice::from_mut(only),
            Self::Several(all) => all,
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sku::Sku;

    #[test]
    fn it_is_the_list_that_was_put_in() {
        let mut few = Few::default();
        let mut all = Vec::new();
        for (at, element) in [(0, 5), (0, 3), (1, 4), (3, 9)] {
            few.insert(at, element);
            all.insert(at, element);
            assert_eq!((&*few, few.clone()), (&*all, Few::from(all.clone())));
        }
        few.retain(|element| *element == 4);
        assert_eq!(few, Few::One(4));
        few.retain(|_| false);
        assert!(few.is_empty() && few.into_iter().next().is_none());
    }

    #[test]
    fn one_takes_no_more_than_itself() {
        assert_eq!(size_of::<Few<Sku>>(), size_of::<Sku>());
    }
}
