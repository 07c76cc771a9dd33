//! Everything that is true of the whole building, in one test binary.
#![cfg(test)]

mod accuracy;
mod archive;
mod bad_input;
mod bundles;
mod certificates;
mod conformance;
mod crash;
mod detection;
mod durability;
mod flows;
mod imports;
mod operations;
mod output;
mod page;
mod receipts;
mod renewal;
mod safekeeping;
mod samples;
mod scanning;
mod service;
mod service_hooks;
mod service_refusals;
mod storage;
mod support;
mod tidy;
mod timestamps;
mod vector_worlds;
mod vectors;
mod witnesses;
