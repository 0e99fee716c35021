//! All ways in which [`Broken`](super::Broken) breaks a promise, by the promise that the suite has to
//! name.

/// Which suite tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    Source,
    Store,
}

macro_rules! ways {
    ($($suite:ident $promise:literal { $($way:ident)* })*) => {
        /// How a store is broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum How {
            /// Not at all.
            Not,
            $($($way,)*)*
        }

        /// The suite, the promise that it names, and how that promise is broken.
        pub(super) const WAYS: &[(Suite, &str, &[How])] =
            &[$((Suite::$suite, $promise, &[$(How::$way),*]),)*];
    };
}

ways! {
    Source "a tag finds the exact bytes of its manifest" {
        ChangesManifestBytes
        ForgetsMediaTypes
        FoldsTags
        AnswersNotModifiedUnasked
    }
    Source "a digest finds the exact bytes of its manifest" {
        FindsManifestsByTagOnly
    }
    Source "a stat finds what is read" {
        StatsOtherManifestSizes
        StatsOtherMediaTypes
        StatsOtherBlobSizes
        StatsBlobsAsUnseekable
    }
    Source "only a digest that is known already is not modified" {
        AnswersNotModifiedForUnknownDigests
        AnswersNotModifiedWithOtherDigests
    }
    Source "what a repository does not have is not found in it" {
        FindsManifestsOfOthers
        StatsManifestsOfOthers
        FindsManifestsByOtherAlgorithms
        FindsAnyTag
        FindsBlobsOfOthers
        StatsBlobsOfOthers
        FailsForAbsentManifests
        FailsForAbsentBlobs
    }
    Source "a blob has the bytes of its digest, as many as it says" {
        ServesShortBodies
        ServesLongBodies
        ServesOtherBytes
        BreaksBodiesOff
        TellsOtherSizes
        LosesEmptyBlobs
        RedirectsUnasked
    }
    Source "a redirect tells the size, and leads to somewhere else" {
        RedirectsToNowhere
        RedirectsWithOtherSizes
    }
    Source "a range is served exactly, or the whole where the source cannot seek" {
        IgnoresRanges
        ServesRangesOneOff
        ServesShortRanges
        ServesRangesWithoutTheirLastByte
        ServesSuffixesFromTheBeginning
        ServesRangesWithoutBytes
        RefusesRangesPastTheEnd
        TellsOtherSizesOfRefusedRanges
        RedirectsRangesUnasked
    }
    Source "tags are listed once, and continue exactly after a page" {
        TagPagesAreTooLong
        TagPagesNeverEnd
        TagPagesBeginAgain
        TagPagesOverlap
        TagPagesLoseTags
        ListsTagsTwice
        ListsTagsOfOthers
    }
    Source "referrers are listed once, with type and annotations, filtered and paged" {
        ListsReferrersOfAnyType
        ListsReferrersWithoutAnnotations
        ListsReferrersWithoutTheirType
        LosesReferrers
        ListsReferrersTwice
        ListsReferrersOfNobody
        ListsReferrersOfOthers
        ReferrerPagesAreTooLong
        ReferrerPagesNeverEnd
        ReferrerPagesHaveTooManyBytes
    }
    Source "the catalog lists the repository, and continues after any listed name" {
        CatalogIsEmpty
        CatalogBeginsAgain
        CatalogNeverEnds
    }
    Source "a future that was dropped changes nothing" {
        DroppedManifestIsLost
        DroppedBlobIsLost
        DroppedTagsKeepALock
    }

    Store "what is appended and committed is a blob with exactly those bytes" {
        AppendTellsTheLengthOfThePiece
        StatusTellsNothing
        FinishTellsTheLastPiece
        FinishStoresOtherContent
        FinishLosesTheBlob
        RefusesEmptyBlobs
    }
    Store "a repository exists from its first commit, not from an upload" {
        ListsRepositoriesOfUploads
        HasTagListsOfUploads
    }
    Store "a blob belongs to the repository that it was pushed to, and no other" {
        SharesBlobs
    }
    Store "the catalog lists the repository, and continues after any listed name" {
        CatalogPagesAreTooLong
        CatalogPagesOverlap
    }
    Store "a piece that does not begin at the offset is refused, and moves nothing" {
        AppendIgnoresTheOffset
        FinishIgnoresTheOffset
        TellsNoOffset
        ReadsRefusedPieces
        RefusedPieceEndsTheSession
    }
    Store "a blob is known by the digest that ended its upload, of any algorithm" {
        FinishesWithSha256Only
        FindsBlobsByOtherAlgorithms
    }
    Store "content with another digest is refused, and its session stays as it was" {
        CommitsWrongDigests
        WrongDigestEndsTheSession
        KeepsTheLastPieceOfWrongDigests
        CallsWrongDigestsInvalid
    }
    Store "the end of an upload may be sent again, and nothing else may follow it" {
        RefusesRepeatedFinish
        ReadsRepeatedFinish
        AppendsAfterTheCommit
        FinishesAfterTheCommit
        StatusAfterTheCommit
        CancelsAfterTheCommit
    }
    Store "of a body that breaks off nothing is kept, and it can be sent again" {
        KeepsWhatCameOfBrokenBodies
        AppendsBrokenBodies
        FinishesWithBrokenBodies
        PutsBrokenBodies
        TakesShorterBodies
        BrokenBodyEndsTheSession
    }
    Store "a session is known by its id, in its repository, until it is cancelled" {
        GivesTwoSessionsOneId
        AppendsInOtherRepositories
        TellsTheStatusInOtherRepositories
        FinishesInOtherRepositories
        CancelsInOtherRepositories
        BeginsUnknownSessions
        CancelDoesNothing
        CancelsTwice
        SweepEndsSessions
    }
    Store "a blob can be put at once, and is there if and only if that succeeds" {
        PutStoresOtherContent
        PutTakesWrongDigests
        PutRefusesWhatIsThere
        PutTellsOtherSizes
    }
    Store "a newer request takes a session over, and the older one ends and is lost" {
        NewerWaits
        NewerIsRefused
        NewerCancelWaits
        OlderGoesOn
        OlderSucceeds
        OlderFailsForAnotherReason
    }
    Store "a request that is refused, or asks only, takes no session over" {
        StatusTakesOver
        RefusedPieceTakesOver
        CancelInOtherRepositoriesTakesOver
    }
    Store "no request waits for the client of another" {
        PutLocksBegins
        AppendLocksReads
    }
    Store "a blob that is larger than its session allows is refused" {
        IgnoresBlobSizes
        FinishIgnoresBlobSizes
        PutIgnoresBlobSizes
    }
    Store "no more sessions are opened than allowed, and one that ends makes room" {
        IgnoresSessionCounts
        IgnoresSessionCountsOfAll
        CountsSessionsOfOthers
        CancelMakesNoRoom
        FinishMakesNoRoom
        PutMakesNoRoom
    }
    Store "a session ends when nothing has arrived for as long as it lives" {
        NeverExpires
        AppendsToExpiredSessions
        ExpiredSessionsMakeNoRoom
    }
    Store "a future that is dropped leaves everything as it was, and no late write lands" {
        DroppedAppendLands
        DroppedAppendIsKept
        DroppedAppendRefusesOthers
        DroppedAppendKeepsALock
        DroppedFinishLands
        DroppedFinishIsKept
        DroppedFinishEndsTheSession
        DroppedCancelLands
        DroppedPutLands
        DroppedPutIsKept
    }

    Store "a mounted blob is one of the repository, and of no other" {
        MountsNothing
        MountsEverywhere
        MountMovesTheBlob
        RefusesMountsFromItself
    }
    Store "what cannot be mounted is no error, and changes nothing" {
        MountsWhatIsMissing
        MountsFromAnyRepository
        FailsForUnknownOrigins
        FailedMountMakesARepository
    }
    Store "a blob is mounted from anywhere only if it is visible there" {
        MountsWhatIsHidden
    }
    Store "a mount that is dropped has not happened" {
        DroppedMountLands
    }

    Store "a manifest is refused unless all of its content is there, or may be missing" {
        IgnoresReferences
        IgnoresEntries
        FindsReferencesElsewhere
        TellsOneMissingReference
        StoresRefusedManifests
        RefusedManifestMakesARepository
        RefusesSparseManifests
        RefusesIndexesOfBlobs
    }
    Store "a tag points at what was put last, and digests find what they named" {
        TagsDoNotMove
        SetsOneTagOnly
        FoldsNewTags
        ForgetsTagsInLists
        MovedTagTakesItsManifestAlong
        NamesManifestsBySha256
    }
    Store "a manifest belongs to the repository that it was put in, and no other" {
        SharesManifests
    }
    Store "a manifest has the type that it was put with last" {
        KeepsTheFirstMediaType
    }
    Store "a precondition that does not hold changes nothing" {
        IgnoresMustExist
        IgnoresIfMatch
        IgnoresCreateOnly
        IgnoresCreateOrSame
        IgnoresUnless
        IgnoresPreconditionsOfDigests
    }
    Store "a precondition that holds lets a put happen" {
        RefusesTheSameAgain
        RefusesListsOfDigests
    }
    Store "all preconditions hold, or nothing of a put happens" {
        PutsTagByTag
    }
    Store "of puts that all want to create one tag exactly one succeeds" {
        RacesForNewTags
    }
    Store "of puts that all want to move one tag exactly one succeeds" {
        RacesForOldTags
    }
    Store "of puts that all want to create one manifest exactly one succeeds" {
        RacesForManifests
    }
    Store "what says that it lists referrers lists each once, and loses none" {
        ListsNoReferrers
        ListsRepeatedReferrersTwice
        RewritesTheListOfReferrers
        ListsSomeReferrers
        DeniesThatItListsReferrers
    }
    Store "a put that is dropped has not happened, and no late write lands" {
        DroppedPutManifestLands
        DroppedPutManifestIsKept
        DroppedPutManifestLeavesItsEntry
    }

    Store "a tag that is deleted is gone, and nothing else" {
        DeleteTagDoesNothing
        DeleteTagIgnoresItsPrecondition
        DeleteTagDeletesTheManifest
        DeleteTagDeletesOtherTags
        DeleteTagDeletesEverywhere
        DeletedTagsStayListed
    }
    Store "a repository without tags has an empty list of them" {
        RepositoryEndsWithItsTags
    }
    Store "a manifest that is deleted takes its tags and its entry along, no more" {
        DeleteManifestDoesNothing
        DeleteManifestIgnoresItsPrecondition
        DeleteManifestKeepsTags
        DeleteManifestKeepsItsEntry
        DeleteManifestDeletesItsSubject
        DeleteManifestDeletesItsChildren
        DeleteManifestDeletesItsReferrers
        DeleteManifestDeletesEverywhere
        DeletesManifestsTwice
    }
    Store "a repository is there also when all that it had is deleted" {
        RepositoryEndsWithItsManifests
    }
    Store "a blob that is deleted is gone from its repository, and from no other" {
        DeleteBlobDoesNothing
        DeleteBlobIgnoresItsPrecondition
        DeleteBlobDeletesEverywhere
        DeleteBlobDeletesMounts
        DeletedBlobsAreStated
        DeletedBlobsStayGone
        DeletesBlobsTwice
        RepositoryEndsWithItsBlobs
    }
    Store "a download that has begun goes on when its blob is deleted" {
        DeleteBlobBreaksDownloads
    }
    Store "the end of an upload is not repeated when its blob is deleted" {
        RepeatsTheFinishOfDeletedBlobs
    }
    Store "what is not there is not found when it shall be deleted" {
        DeletesAbsentTags
        DeletesInAbsentRepositories
        FailsToDeleteWhatIsAbsent
    }
    Store "a delete that is dropped has not happened" {
        DroppedDeleteOfTagLands
        DroppedDeleteOfManifestLands
        DroppedDeleteOfBlobLands
    }
}
