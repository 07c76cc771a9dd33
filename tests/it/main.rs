//! Everything that is true of the whole building, in one test binary.
#![cfg(test)]

mod accuracy;
mod bad_input;
mod conformance;
mod crash;
mod durability;
mod flows;
mod samples;
mod support;
mod tidy;
