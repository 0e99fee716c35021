//! One operation after the other.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use tower_oci::{Limits, OciRegistryService};

use super::{
    common::ask,
    compare::{Checked, check_all, check_names, send_expecting},
    operations::{Operation, Options},
    oracle::{
        BLOB_SIZE, DEFAULT_PAGE, LARGEST_PAGE, LIFETIME, MOST_TAGS, Oracle, SESSIONS, SESSIONS_HERE,
    },
    requests,
    setup::{Registry, Setup, cost_of_empty},
    strategies::{operation, options},
    universe::{IMMUTABLE, MANIFEST_SIZE},
};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // protocol 14 to 59
    #[test]
    fn any_sequence_of_operations_answers_and_leaves_what_the_oracle_says(
        options in options(),
        operations in vec(operation(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(options, &operations))?;
    }
}

/// What the operations are done with.
struct Client {
    setup: Setup,
    registry: Registry,
    /// Of all sessions that were opened.
    locations: Vec<String>,
}

impl Client {
    fn new(options: Options) -> Self {
        let setup = Setup::new(limits(), options.repositories);
        let registry = setup.registry.clone();
        let registry = registry
            .allow_anonymous_mounts(options.allows_anonymous_mounts)
            .allow_sparse_manifests(options.allows_sparse_manifests)
            .allow_deletes(options.allows_deletes)
            .immutable_tags(move |_, tag| options.has_immutable_tag && tag.as_str() == IMMUTABLE);
        Self {
            setup,
            registry,
            locations: Vec::new(),
        }
    }

    /// Does `operation`, and checks the answer.
    async fn perform(&mut self, operation: &Operation, oracle: &mut Oracle) -> Checked {
        let sent = oracle.sent(operation);
        let location = self.location(operation, oracle);
        let expected = oracle.apply(operation, &sent);
        if let Operation::Wait { quarters } = operation {
            self.setup.pass(quarters * LIFETIME / 4);
            return Ok(());
        }
        let request = requests::request(operation, sent, &location);
        let answer = send_expecting(&self.registry, request, &expected).await?;
        let may_start = matches!(operation, Operation::Start { .. } | Operation::Mount { .. });
        if may_start && answer.status == 202 {
            self.locations.push(answer.header("location").to_owned());
        }
        Ok(())
    }

    /// Where the session of `operation` is, if it has one.
    fn location(&self, operation: &Operation, oracle: &Oracle) -> String {
        let (session, query) = match operation {
            Operation::Append { session, .. }
            | Operation::Status { session }
            | Operation::Cancel { session } => (*session, String::new()),
            Operation::Finish {
                session,
                algorithm,
                other,
                ..
            } => {
                let blob = oracle.blob(*session, *algorithm, *other);
                (*session, format!("?digest={}", blob.blob()))
            }
            _ => return String::new(),
        };
        let index = oracle.index(session);
        requests::location(&self.locations, index, session.through) + &query
    }

    /// Deletes everything, and gives up all sessions.
    async fn clear(&self, oracle: &Oracle) -> Checked {
        let registry = OciRegistryService::writable(self.setup.store.clone());
        for (name, repository) in &oracle.repositories {
            let manifests = repository
                .manifests
                .keys()
                .map(|digest| ("manifests", digest));
            let blobs = repository.blobs.keys().map(|digest| ("blobs", digest));
            for (kind, digest) in manifests.chain(blobs) {
                let uri = format!("/v2/{name}/{kind}/{digest}");
                let answer = ask(&registry, "DELETE", &uri, &[]).await;
                prop_assert_eq!(answer.status, 202, "{}: {:?}", uri, answer);
            }
        }
        for location in &self.locations {
            let answer = ask(&registry, "DELETE", location, &[]).await;
            prop_assert!(answer.status == 204 || answer.status == 404, "{:?}", answer);
        }
        Ok(())
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.manifest_size = MANIFEST_SIZE;
    limits.tags_per_request = MOST_TAGS;
    limits.default_page = DEFAULT_PAGE;
    limits.largest_page = LARGEST_PAGE;
    limits.uploads.blob_size = BLOB_SIZE as u64;
    limits.uploads.sessions_per_repository = SESSIONS_HERE;
    limits.uploads.sessions = SESSIONS;
    limits.uploads.lifetime = Duration::from_secs(LIFETIME);
    limits
}

async fn run(options: Options, operations: &[Operation]) -> Checked {
    let mut oracle = Oracle::new(options);
    let mut client = Client::new(options);
    for (step, operation) in operations.iter().enumerate() {
        let says_where = |error| match error {
            TestCaseError::Fail(reason) => {
                TestCaseError::fail(format!("step {step}, {operation:?}: {reason}"))
            }
            error => error,
        };
        let performed = client.perform(operation, &mut oracle).await;
        performed.map_err(says_where)?;
        let checked = check_names(&client.registry, &oracle).await;
        checked.map_err(says_where)?;
    }
    check_all(&client.registry, &oracle, &client.locations).await?;

    let store = &client.setup.store;
    prop_assert!(store.used_bytes() >= oracle.used_bytes());
    client.clear(&oracle).await?;
    client.setup.end_sessions().await;
    let empty = cost_of_empty(oracle.repositories.keys().copied()).await;
    prop_assert_eq!(store.used_bytes(), empty, "something is kept for ever");
    Ok(())
}
