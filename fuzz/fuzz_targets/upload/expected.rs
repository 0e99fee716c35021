//! What an answer has to be.

use tower_oci::Digest;
use tower_oci_fuzz::Answer;

#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// 202: so many bytes have arrived.
    Accepted(u64),
    /// 201.
    Created(Digest),
    Refused(u16, &'static str),
    /// 416, with the offset.
    OutOfOrder(u64),
}

impl Expected {
    #[track_caller]
    pub(crate) fn check(&self, answer: &Answer) {
        match self {
            Self::Accepted(offset) => {
                assert_eq!(answer.status, 202, "{answer:?}");
                let last = offset.saturating_sub(1);
                assert_eq!(answer.header("range"), format!("0-{last}"));
            }
            Self::Created(digest) => {
                assert_eq!(answer.status, 201, "{answer:?}");
                assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            }
            Self::Refused(status, code) => assert_refused(answer, *status, code),
            Self::OutOfOrder(offset) => {
                assert_refused(answer, 416, "BLOB_UPLOAD_INVALID");
                let last = offset.saturating_sub(1);
                assert_eq!(answer.header("range"), format!("0-{last}"));
            }
        }
    }
}

#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let errors = answer.errors();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].0, code, "{answer:?}");
}
