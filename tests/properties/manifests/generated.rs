//! Documents that may be manifests: most fields are right, and any may be wrong.

use super::*;

/// What a digest may be of: content that is there, that is not, or nothing.
fn digest_field() -> impl Strategy<Value = Option<Value>> {
    let there = select(BLOBS.to_vec()).prop_map(|blob| Some(sha256(blob).into()));
    let odd = select(vec![
        Some(json!(sha256("missing"))),
        Some(json!(sha256("missing too"))),
        // The content is there, but not by this digest.
        Some(json!(Algorithm::Sha512.digest("first").to_string())),
        Some(json!(sha256(first_manifest()))),
        Some(json!("sha256:abc")),
        Some(json!(format!("sha384:{}", "0".repeat(96)))),
        Some(json!("")),
        Some(json!(5)),
        Some(Value::Null),
        None,
    ]);
    prop_oneof![30 => there, 2 => odd]
}

fn size_field() -> impl Strategy<Value = Option<Value>> {
    let odd = select(vec![
        Some(json!(0)),
        Some(json!(i64::MAX)),
        Some(json!(i64::MAX as u64 + 1)),
        Some(json!(-1)),
        Some(json!(2.0)),
        Some(json!(1e30)),
        Some(json!("2")),
        Some(Value::Null),
        None,
    ]);
    prop_oneof![40 => (0..9_u64).prop_map(|size| Some(size.into())), 1 => odd]
}

/// A field that is usually not there, and of any kind where it is.
fn seldom(values: &[Value]) -> impl Strategy<Value = Option<Value>> + use<> {
    prop_oneof![4 => Just(None), 1 => select(values.to_vec()).prop_map(Some)]
}

fn object(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    let fields = fields.into_iter();
    let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect())
}

fn descriptor() -> impl Strategy<Value = Value> {
    let media_type = select(vec![
        Some(json!("application/vnd.oci.image.layer.v1.tar")),
        Some(json!("application/vnd.oci.image.config.v1+json")),
        Some(json!(
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        )),
        Some(json!(
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        )),
        Some(json!(INDEX)),
        Some(json!("no type")),
        Some(json!(5)),
        Some(Value::Null),
        None,
    ]);
    let urls = seldom(&[
        json!([]),
        json!(["https://example.com/layer"]),
        json!(["https://example.com/layer", 5]),
        json!("https://example.com/layer"),
        Value::Null,
    ]);
    // None of these changes what is made of it.
    let others = (
        seldom(&[json!({"a": "b"}), json!([]), json!({"a": 5})]),
        seldom(&[json!("e30="), json!("%"), json!({})]),
        seldom(&[
            json!({"os": "linux"}),
            json!(["linux", "amd64"]),
            json!({"os": 5}),
        ]),
        seldom(&[json!("a/b"), json!(""), json!(5)]),
    );
    let whole = (digest_field(), size_field(), media_type, urls, others).prop_map(
        |(digest, size, media_type, urls, (annotations, data, platform, artifact_type))| {
            object(vec![
                ("mediaType", media_type),
                ("digest", digest),
                ("size", size),
                ("urls", urls),
                ("annotations", annotations),
                ("data", data),
                ("platform", platform),
                ("artifactType", artifact_type),
            ])
        },
    );
    let none = select(vec![
        json!([]),
        json!("text"),
        json!(5),
        Value::Null,
        json!({}),
    ]);
    prop_oneof![60 => whole, 6 => missing(), 1 => none]
}

/// A descriptor of content that the repository does not have, and may not need to have.
fn missing() -> impl Strategy<Value = Value> {
    let digest = json!(sha256("missing"));
    let layer = "application/vnd.oci.image.layer";
    select(vec![
        json!({"digest": digest, "size": 7}),
        json!({"digest": digest, "size": 7, "urls": []}),
        json!({"digest": digest, "size": 7, "urls": ["https://example.com/layer"]}),
        json!({"digest": digest, "size": 7, "mediaType": format!("{layer}.v1.tar")}),
        json!({"digest": digest, "size": 7, "mediaType": format!("{layer}.nondistributable.v1.tar")}),
    ])
}

fn list() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        4 => Just(None),
        6 => vec(descriptor(), 0..4).prop_map(|items| Some(items.into())),
        1 => select(vec![Some(json!({})), Some(json!("text")), Some(Value::Null)]),
    ]
}

pub(super) fn document() -> impl Strategy<Value = Map<String, Value>> {
    let version = prop_oneof![
        20 => Just(Some(json!(2))),
        1 => select(vec![Some(json!(1)), Some(json!("2")), Some(json!(2.0)), Some(Value::Null), None]),
    ];
    let artifact_type = seldom(&[
        json!("application/vnd.example.sbom"),
        json!("no media type"),
        json!(""),
        json!("é"),
        json!("x".repeat(256)),
        json!(5),
    ]);
    let annotations = seldom(&[
        json!({"a": "b", "é\"": "\u{1f980}\n"}),
        json!({"a": "b", "c": 5, "d": null}),
        json!({}),
        json!(["a"]),
    ]);
    let unknown = seldom(&[
        json!([[{"mediaType": INDEX}]]),
        json!({"config": {}}),
        json!(1.5),
    ]);
    let single = || option::of(descriptor());
    let content = (
        single(),
        list(),
        list(),
        list(),
        option::weighted(0.3, prop_oneof![descriptor(), missing()]),
    );
    (version, artifact_type, annotations, unknown, content).prop_map(
        |(version, artifact_type, annotations, unknown, content)| {
            let (config, layers, blobs, manifests, subject) = content;
            let document = object(vec![
                ("schemaVersion", version),
                ("artifactType", artifact_type),
                ("config", config),
                ("layers", layers),
                ("blobs", blobs),
                ("manifests", manifests),
                ("subject", subject),
                ("annotations", annotations),
                ("unknown", unknown),
            ]);
            document.as_object().unwrap().clone()
        },
    )
}

/// The type that a manifest is sent with, and its own.
pub(super) fn types() -> impl Strategy<Value = (Option<String>, Option<String>)> {
    let known = || select([KNOWN, &[OPAQUE]].concat());
    let parameters = select(vec!["", "", "; charset=utf-8", " ;q=1"]);
    let same = (known(), parameters, any::<bool>()).prop_map(|(sent, parameters, is_declared)| {
        let declared = is_declared.then(|| format!("{sent}{parameters}"));
        (Some(format!("{sent}{parameters}")), declared)
    });
    let any_two = (option::of(known()), option::of(known())).prop_map(|(sent, declared)| {
        (sent.map(ToOwned::to_owned), declared.map(ToOwned::to_owned))
    });
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let odd = select(vec![Some(schema_1), Some("no type"), Some("a/b/c"), None]);
    let odd = odd.prop_map(|sent| (sent.map(ToOwned::to_owned), None));
    prop_oneof![10 => same, 1 => any_two, 1 => odd]
}
