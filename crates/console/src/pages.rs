//! The pages.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod case;
pub(crate) mod chart;
pub(crate) mod clock;
pub(crate) mod decide;
pub(crate) mod enrol;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod messages;
pub(crate) mod reconcile;
pub(crate) mod reports;
pub(crate) mod request;
pub(crate) mod sign_in;
pub(crate) mod steps;
