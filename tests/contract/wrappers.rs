//! Wrappers that do not hand on everything, and the proof that the suites name what they lose.

use tower_oci::{
    BeginUpload, Blob, BlobInfo, BlobSource, BlobStore, Descriptor, Digest, Found, GetBlob,
    GetManifest, ListReferrers, Listing, Manifest, ManifestInfo, MountFrom, NewManifest, Page,
    Precondition, Reference, RepositoryName, Session, SourceError, StoredManifest, Tag, UploadBody,
    UploadId, UploadLimits, UploadStatus, Visibility,
    testing::{Spy, StoreMethod as Method, source_wrapper_suite, store_wrapper_suite},
};

mod required;

use required::Required;

type Answer<T> = Result<T, SourceError>;

/// What a wrapper does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    Nothing,
    /// It leaves this method to the trait.
    Forgets(Method),
    /// It calls the method and throws the answer away.
    AsksTwice(Method),
    LosesUnless,
    LosesRange,
    LosesRedirects,
    LosesAfter,
    LosesLimit,
    LosesArtifactType,
    LosesMaxBytes,
    LosesAlgorithm,
    LosesLimits,
    LosesOffset,
    LosesBody,
    LosesTags,
    LosesPreconditions,
    LosesConditionsOfDeletes,
    LosesVisibility,
}

use Mistake::*;

/// A wrapper that is right but for one mistake.
struct Wrapper {
    inner: Spy,
    required: Required,
    mistake: Mistake,
}

impl Wrapper {
    fn new(inner: Spy, mistake: Mistake) -> Self {
        let required = Required::new(inner.clone());
        Self {
            inner,
            required,
            mistake,
        }
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn page<'a>(&self, page: Page<'a>) -> Page<'a> {
        match self.mistake {
            LosesAfter => Page::first(page.limit),
            LosesLimit => Page::first(100).after(page.after),
            _ => page,
        }
    }

    fn begin(&self, mut begin: BeginUpload) -> BeginUpload {
        match self.mistake {
            LosesAlgorithm => begin.algorithm = None,
            LosesLimits => begin.limits = UploadLimits::default(),
            _ => {}
        }
        begin
    }

    fn at(&self, at: Option<u64>) -> Option<u64> {
        at.filter(|_| !self.is(LosesOffset))
    }

    fn condition(&self, precondition: Precondition) -> Precondition {
        match self.mistake {
            LosesConditionsOfDeletes => Precondition::default(),
            _ => precondition,
        }
    }
}

/// Calls the method of the source inside, unless that is the one that is forgotten.
macro_rules! hand_on {
    ($self:ident, $method:ident = $name:ident($($argument:expr),*)) => {
        match $self.mistake {
            Forgets(Method::$method) => $self.required.$name($($argument),*).await,
            AsksTwice(Method::$method) => {
                let _ = $self.inner.$name($($argument),*).await;
                $self.inner.$name($($argument),*).await
            }
            _ => $self.inner.$name($($argument),*).await,
        }
    };
}

impl BlobSource for Wrapper {
    type Body = <Spy as BlobSource>::Body;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        mut options: GetManifest<'_>,
    ) -> Answer<Found<Manifest>> {
        if self.is(LosesUnless) {
            options = GetManifest::default();
        }
        hand_on!(self, Manifest = manifest(repository, reference, options))
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut options: GetBlob,
    ) -> Answer<Blob<Self::Body>> {
        match self.mistake {
            LosesRange => options.range = None,
            LosesRedirects => options.redirects = false,
            _ => {}
        }
        hand_on!(self, Blob = blob(repository, digest, options))
    }

    async fn stat_blob(&self, repository: &RepositoryName, digest: &Digest) -> Answer<BlobInfo> {
        hand_on!(self, StatBlob = stat_blob(repository, digest))
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<ManifestInfo> {
        hand_on!(self, StatManifest = stat_manifest(repository, reference))
    }

    async fn tags(&self, repository: &RepositoryName, page: Page<'_>) -> Answer<Listing<Tag>> {
        hand_on!(self, Tags = tags(repository, self.page(page)))
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        mut options: ListReferrers<'_>,
    ) -> Answer<Listing<Descriptor>> {
        match self.mistake {
            LosesArtifactType => options.artifact_type = None,
            LosesMaxBytes => options.max_bytes = ListReferrers::MAX_BYTES,
            _ => {}
        }
        hand_on!(self, Referrers = referrers(repository, subject, options))
    }

    async fn repositories(&self, page: Page<'_>) -> Answer<Listing<RepositoryName>> {
        hand_on!(self, Repositories = repositories(page))
    }
}

impl BlobStore for Wrapper {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Answer<Session> {
        hand_on!(
            self,
            BeginUpload = begin_upload(repository, self.begin(begin))
        )
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Answer<u64> {
        if self.is(LosesBody) {
            *body = UploadBody::empty();
        }
        hand_on!(
            self,
            AppendUpload = append_upload(repository, upload, self.at(at), body)
        )
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Answer<UploadStatus> {
        hand_on!(self, UploadStatus = upload_status(repository, upload))
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Answer<BlobInfo> {
        hand_on!(
            self,
            FinishUpload = finish_upload(repository, upload, self.at(at), last, expect)
        )
    }

    async fn cancel_upload(&self, repository: &RepositoryName, upload: &UploadId) -> Answer<()> {
        hand_on!(self, CancelUpload = cancel_upload(repository, upload))
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Answer<BlobInfo> {
        hand_on!(self, PutBlob = put_blob(repository, expect, begin, body))
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut from: MountFrom<'_>,
    ) -> Answer<bool> {
        let everything = Visibility::all();
        if self.is(LosesVisibility) && matches!(from, MountFrom::Anywhere(_)) {
            from = MountFrom::Anywhere(&everything);
        }
        hand_on!(self, MountBlob = mount_blob(repository, digest, from))
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        mut new: NewManifest,
    ) -> Answer<StoredManifest> {
        match self.mistake {
            LosesTags => new.tags.clear(),
            LosesPreconditions => new.precondition = Precondition::default(),
            _ => {}
        }
        hand_on!(self, PutManifest = put_manifest(repository, new.clone()))
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        condition: Precondition,
    ) -> Answer<()> {
        let condition = self.condition(condition);
        hand_on!(
            self,
            DeleteManifest = delete_manifest(repository, digest, condition.clone())
        )
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        condition: Precondition,
    ) -> Answer<()> {
        hand_on!(
            self,
            DeleteTag = delete_tag(repository, tag, condition.clone())
        )
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        condition: Precondition,
    ) -> Answer<()> {
        hand_on!(
            self,
            DeleteBlob = delete_blob(repository, digest, condition.clone())
        )
    }

    async fn sweep(&self) -> Answer<()> {
        hand_on!(self, Sweep = sweep())
    }
}

const PROMISE: &str = "a wrapper hands on every method, with its arguments and answer";

#[tokio::test]
async fn a_wrapper_that_forgets_nothing_is_not_blamed() {
    let wrap = |spy| Wrapper::new(spy, Nothing);
    source_wrapper_suite(wrap).await.unwrap();
    store_wrapper_suite(wrap).await.unwrap();
}

#[tokio::test]
async fn what_a_wrapper_of_a_source_does_not_hand_on_is_told() {
    // Each with the method that the suite has to name.
    for (mistake, method) in [
        (Forgets(Method::StatBlob), "stat_blob"),
        (Forgets(Method::StatManifest), "stat_manifest"),
        (Forgets(Method::Tags), "tags"),
        (Forgets(Method::Referrers), "referrers"),
        (Forgets(Method::Repositories), "repositories"),
        (AsksTwice(Method::Blob), "blob"),
        (AsksTwice(Method::Manifest), "manifest"),
        (LosesUnless, "manifest"),
        (LosesRange, "blob"),
        (LosesRedirects, "blob"),
        (LosesAfter, "tags"),
        (LosesLimit, "tags"),
        (LosesArtifactType, "referrers"),
        (LosesMaxBytes, "referrers"),
    ] {
        let wrap = |spy| Wrapper::new(spy, mistake);
        for told in [
            source_wrapper_suite(wrap).await.unwrap_err(),
            store_wrapper_suite(wrap).await.unwrap_err(),
        ] {
            assert_eq!(told.promise(), PROMISE, "{mistake:?}");
            let expected = format!("[\"{method} wrapped/repository");
            let expected = match method {
                "repositories" => "[\"repositories after",
                _ => &expected,
            };
            assert!(told.to_string().contains(expected), "{mistake:?}: {told}");
        }
    }
}

#[tokio::test]
async fn what_a_wrapper_of_a_store_does_not_hand_on_is_told() {
    for (mistake, method) in [
        (Forgets(Method::PutBlob), "put_blob"),
        (Forgets(Method::MountBlob), "mount_blob"),
        (Forgets(Method::DeleteManifest), "delete_manifest"),
        (Forgets(Method::DeleteTag), "delete_tag"),
        (Forgets(Method::DeleteBlob), "delete_blob"),
        (Forgets(Method::Sweep), "sweep"),
        (AsksTwice(Method::PutManifest), "put_manifest"),
        (LosesAlgorithm, "begin_upload"),
        (LosesLimits, "begin_upload"),
        (LosesOffset, "append_upload"),
        (LosesBody, "append_upload"),
        (LosesTags, "put_manifest"),
        (LosesPreconditions, "put_manifest"),
        (LosesConditionsOfDeletes, "delete_manifest"),
        (LosesVisibility, "mount_blob"),
    ] {
        let wrap = |spy| Wrapper::new(spy, mistake);
        let told = store_wrapper_suite(wrap).await.unwrap_err();
        assert_eq!(told.promise(), PROMISE, "{mistake:?}");
        let expected = format!("where [\"{method}");
        assert!(told.to_string().contains(&expected), "{mistake:?}: {told}");
        // The reading side is as it should be.
        source_wrapper_suite(wrap).await.unwrap();
    }
}
