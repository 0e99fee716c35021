//! Authentication: what a registry demands, and what the client answers.
//!
//! The [`Authenticator`] sends what there is to send; the others are plain functions. A 401 has [`challenges`](challenge::challenges), of which one is the
//! [`Demand`](challenge::Demand). Basic is answered with the credentials themselves. For Bearer a
//! [`TokenRequest`](token::TokenRequest) goes to the token server, and its answer is a
//! [`Token`](token::Token).

mod authenticator;
mod challenge;
mod credentials;
mod docker_config;
mod scope;
mod token;

pub(super) use authenticator::Authenticator;
pub(super) use scope::Scope;

pub use credentials::{CredentialSource, Credentials};
pub use docker_config::{DockerConfig, DockerConfigError};
