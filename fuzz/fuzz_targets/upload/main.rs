//! Any script of upload requests, with bodies cut into frames, held back and lost, against a model
//! of the offset.

#![no_main]

use libfuzzer_sys::fuzz_target;

mod arrival;
mod expected;
mod model;
mod script;
mod session;

use model::Model;
use script::Step;

fuzz_target!(|steps: Vec<Step>| {
    let mut model = Model::new();
    for step in steps.iter().take(40) {
        model.take(step);
    }
    model.finish();
});
