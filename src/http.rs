//! The rules of HTTP that a registry needs, as plain functions on headers.

pub(crate) mod conditional;
pub(crate) mod content_range;
pub(crate) mod pagination;
pub(crate) mod query;
pub(crate) mod range;
