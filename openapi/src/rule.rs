//! The rules: what comparing can find, each with a name that stays, what it means and how much it matters.
//!
//! In: nothing. Out: one table, from which messages, SARIF metadata and the documentation are made. A rule's class never depends
//! on the case: where two cases matter differently there are two rules.

/// How much a finding matters, the most serious first. The first four are of [`crate::diff`], the next five of
/// [`crate::drift`], which also has [`Class::Informational`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A client that worked stops working.
    Breaking,
    /// A client may stop working, depending on what it relies on.
    PotentiallyBreaking,
    /// Seen in the traffic, not documented.
    Shadow,
    /// The traffic is not what the description says.
    Contradiction,
    /// A detail seen in the traffic of a documented operation, not documented.
    Undocumented,
    /// Deprecated, still called.
    Zombie,
    /// Documented, never called.
    Orphan,
    /// Every client goes on working.
    Compatible,
    /// Worth knowing, nothing to do.
    Informational,
}

/// How loudly a tool shows it; the words of SARIF 2.1.0, 3.27.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something is wrong.
    Error,
    /// Something may be wrong.
    Warning,
    /// Good to know.
    Note,
}

impl Class {
    /// All, the most serious first.
    pub const ALL: [Class; 9] = [
        Class::Breaking,
        Class::PotentiallyBreaking,
        Class::Shadow,
        Class::Contradiction,
        Class::Undocumented,
        Class::Zombie,
        Class::Orphan,
        Class::Compatible,
        Class::Informational,
    ];

    /// The name in reports and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Breaking => "breaking",
            Class::PotentiallyBreaking => "potentially-breaking",
            Class::Shadow => "shadow",
            Class::Contradiction => "contradiction",
            Class::Undocumented => "undocumented",
            Class::Zombie => "zombie",
            Class::Orphan => "orphan",
            Class::Compatible => "compatible",
            Class::Informational => "informational",
        }
    }

    /// What it means, in half a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Class::Breaking => "clients that worked stop working",
            Class::PotentiallyBreaking => "clients may stop working",
            Class::Shadow => "seen in the traffic, not documented",
            Class::Contradiction => "the traffic is not what the description says",
            Class::Undocumented => "details of documented operations that are not documented",
            Class::Zombie => "deprecated, still called",
            Class::Orphan => "documented, never called",
            Class::Compatible => "every client goes on working",
            Class::Informational => "good to know",
        }
    }

    /// How loudly it is shown.
    pub fn level(self) -> Level {
        match self {
            Class::Breaking | Class::Shadow | Class::Contradiction => Level::Error,
            Class::PotentiallyBreaking | Class::Undocumented | Class::Zombie => Level::Warning,
            Class::Orphan | Class::Compatible | Class::Informational => Level::Note,
        }
    }
}

impl Level {
    /// As SARIF writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

macro_rules! rules {
    ($($name:ident $id:literal $class:ident $meaning:literal)*) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $(#[doc = $meaning] $name,)* }

        impl Rule {
            /// All rules: those of [`crate::diff`], then those of [`crate::drift`].
            pub const ALL: &'static [Rule] = &[$(Rule::$name),*];

            /// Its name, which never changes: `operation-removed`.
            pub fn id(self) -> &'static str {
                match self { $(Rule::$name => $id),* }
            }

            /// How much it matters.
            pub fn class(self) -> Class {
                match self { $(Rule::$name => Class::$class),* }
            }

            /// What it means, in a sentence or two.
            pub fn meaning(self) -> &'static str {
                match self { $(Rule::$name => $meaning),* }
            }
        }
    };
}

rules! {
    OperationRemoved "operation-removed" Breaking "An operation is gone; calls to it fail."
    DeprecatedOperationRemoved "deprecated-operation-removed" PotentiallyBreaking "An operation that was marked deprecated is gone; clients had notice, and may not have heeded it."
    OperationAdded "operation-added" Compatible "There is a new operation."
    OperationDeprecated "operation-deprecated" Informational "An operation is now marked deprecated."
    OperationUndeprecated "operation-undeprecated" Informational "An operation is no longer marked deprecated."
    OperationIdChanged "operation-id-changed" PotentiallyBreaking "The operationId changed; generated clients name their functions after it."
    ServerRemoved "server-removed" PotentiallyBreaking "A server is gone; clients that use its address fail if it is switched off."
    ServerAdded "server-added" Compatible "There is a new server."
    BasePathChanged "base-path-changed" Breaking "An operation is no longer below a base path it was below."
    PathParameterRenamed "path-parameter-renamed" Informational "A path parameter has another name. Paths stay the same; generated clients may name their arguments after it."
    SecurityAdded "security-added" Breaking "Calls without credentials were let in and no longer are."
    SecurityRemoved "security-removed" Compatible "Credentials are no longer needed."
    CredentialRefused "credential-refused" Breaking "A set of credentials that was enough no longer is."
    CredentialAccepted "credential-accepted" Compatible "Another set of credentials is enough as well."
    ScopeAdded "scope-added" Breaking "A token needs a scope it did not need before."
    ScopeRemoved "scope-removed" Compatible "A token needs a scope less."
    RequiredParameterAdded "required-parameter-added" Breaking "A parameter must be sent that was not there before."
    ParameterAdded "parameter-added" Compatible "There is a new parameter, which may be left out."
    ParameterRemoved "parameter-removed" PotentiallyBreaking "A parameter is gone; what it did is not done any more, or sending it is an error."
    ParameterBecameRequired "parameter-became-required" Breaking "A parameter that could be left out must be sent."
    ParameterBecameOptional "parameter-became-optional" Compatible "A parameter that had to be sent may be left out."
    ParameterDeprecated "parameter-deprecated" Informational "A parameter is now marked deprecated."
    ParameterStyleChanged "parameter-style-changed" Breaking "Several values of a parameter are written in another way."
    RequiredBodyAdded "required-body-added" Breaking "A request body must be sent where there was none."
    BodyAdded "body-added" Compatible "A request body may be sent where there was none."
    BodyRemoved "body-removed" PotentiallyBreaking "A request body is no longer taken."
    BodyBecameRequired "body-became-required" Breaking "A request body that could be left out must be sent."
    BodyBecameOptional "body-became-optional" Compatible "A request body that had to be sent may be left out."
    RequestMediaTypeRemoved "request-media-type-removed" Breaking "Requests in a media type are no longer taken."
    RequestMediaTypeAdded "request-media-type-added" Compatible "Requests are taken in another media type as well."
    SuccessAdded "success-added" PotentiallyBreaking "There is a new successful status; clients that look for one status may not know it."
    SuccessRemoved "success-removed" Breaking "A successful status no longer comes; clients that wait for it fail."
    ErrorAdded "error-added" Compatible "There is a new status for errors."
    ErrorRemoved "error-removed" Informational "A status for errors no longer comes."
    ResponseMediaTypeRemoved "response-media-type-removed" Breaking "Responses no longer come in a media type."
    ResponseMediaTypeAdded "response-media-type-added" Compatible "Responses come in another media type as well."
    RequiredHeaderRemoved "required-response-header-removed" Breaking "A header that was always in a response is gone."
    HeaderRemoved "response-header-removed" PotentiallyBreaking "A header of a response is gone."
    HeaderAdded "response-header-added" Compatible "A response has a new header."
    HeaderBecameOptional "response-header-became-optional" PotentiallyBreaking "A header that was always in a response may be missing."
    RequestTypeNarrowed "request-type-narrowed" Breaking "Fewer types of values are taken."
    RequestTypeWidened "request-type-widened" Compatible "More types of values are taken."
    ResponseTypeNarrowed "response-type-narrowed" Compatible "Fewer types of values come back."
    ResponseTypeWidened "response-type-widened" Breaking "More types of values come back than clients expect."
    RequestTypeChanged "request-type-changed" Breaking "Values of another type are taken instead."
    ResponseTypeChanged "response-type-changed" Breaking "Values of another type come back instead."
    RequestNullRefused "request-null-refused" Breaking "Null is no longer taken."
    RequestNullAccepted "request-null-accepted" Compatible "Null is taken as well."
    ResponseNullPossible "response-null-possible" Breaking "Null may come back where it never did."
    ResponseNullGone "response-null-gone" Compatible "Null no longer comes back."
    RequestFormatChanged "request-format-changed" PotentiallyBreaking "The format of values that are taken changed, or there is one now."
    RequestFormatRemoved "request-format-removed" Compatible "Values are taken in any format."
    ResponseFormatChanged "response-format-changed" PotentiallyBreaking "The format of values that come back changed, or is no longer said."
    ResponseFormatAdded "response-format-added" Compatible "The format of values that come back is now said."
    RequestValueRemoved "request-value-removed" Breaking "A value of an enum is no longer taken, or only certain values are."
    RequestValueAdded "request-value-added" Compatible "Another value of an enum is taken, or any value."
    ResponseValueAdded "response-value-added" PotentiallyBreaking "A value comes back that was not in the enum; clients that know the others only may fail."
    ResponseValueRemoved "response-value-removed" Compatible "A value of an enum no longer comes back, or only certain values do."
    RequestRequiredPropertyAdded "request-required-property-added" Breaking "A property must be sent that was not there before."
    RequestPropertyAdded "request-property-added" Compatible "There is a new property, which may be left out."
    RequestPropertyRemoved "request-property-removed" PotentiallyBreaking "A property is no longer among those that are taken; sent all the same it is ignored or refused."
    RequestPropertyBecameRequired "request-property-became-required" Breaking "A property that could be left out must be sent."
    RequestPropertyBecameOptional "request-property-became-optional" Compatible "A property that had to be sent may be left out."
    ResponsePropertyAdded "response-property-added" Compatible "A new property comes back."
    ResponseRequiredPropertyRemoved "response-required-property-removed" Breaking "A property that always came back is gone."
    ResponsePropertyRemoved "response-property-removed" PotentiallyBreaking "A property that sometimes came back is gone."
    ResponsePropertyBecameOptional "response-property-became-optional" Breaking "A property that always came back may be missing."
    ResponsePropertyBecameRequired "response-property-became-required" Compatible "A property always comes back."
    RequestAdditionalRefused "request-additional-properties-refused" Breaking "Properties other than the named ones are no longer taken."
    RequestAdditionalAccepted "request-additional-properties-accepted" Compatible "Properties other than the named ones are taken."
    ResponseAdditionalPossible "response-additional-properties-possible" Informational "Properties other than the named ones may come back."
    ResponseAdditionalGone "response-additional-properties-gone" Compatible "Only the named properties come back."
    RequestLimitTightened "request-limit-tightened" Breaking "Values, texts, arrays or objects are taken in a smaller range."
    RequestLimitLoosened "request-limit-loosened" Compatible "Values, texts, arrays or objects are taken in a larger range."
    ResponseLimitLoosened "response-limit-loosened" PotentiallyBreaking "Values, texts, arrays or objects may come back outside the range they were in."
    ResponseLimitTightened "response-limit-tightened" Compatible "Values, texts, arrays or objects come back in a smaller range."
    RequestPatternChanged "request-pattern-changed" PotentiallyBreaking "Texts must match another pattern; whether it takes less cannot be told."
    RequestPatternRemoved "request-pattern-removed" Compatible "Texts need match no pattern."
    ResponsePatternChanged "response-pattern-changed" Informational "Texts that come back match another pattern, or none."
    RequestAlternativeRemoved "request-alternative-removed" Breaking "One of several forms (`oneOf`, `anyOf`) is no longer taken."
    RequestAlternativeAdded "request-alternative-added" Compatible "Another form (`oneOf`, `anyOf`) is taken."
    ResponseAlternativeAdded "response-alternative-added" Breaking "A form (`oneOf`, `anyOf`) may come back that clients do not know."
    ResponseAlternativeRemoved "response-alternative-removed" Compatible "One of several forms (`oneOf`, `anyOf`) no longer comes back."
    DiscriminatorChanged "discriminator-changed" PotentiallyBreaking "Another property tells which of several forms a value has."
    DefaultChanged "default-changed" PotentiallyBreaking "What holds when a value is left out is another now."

    ShadowOperation "shadow-operation" Shadow "The traffic has an operation whose path is not in the description."
    ShadowMethod "shadow-method" Shadow "The path is in the description, but not with this method, and the traffic has it."
    ZombieOperation "zombie-operation" Zombie "An operation is marked deprecated and is still called."
    ZombieParameter "zombie-parameter" Zombie "A parameter is marked deprecated and is still sent."
    OrphanOperation "orphan-operation" Orphan "An operation is in the description and was never called with success. In a short recording that says little; over weeks it is a candidate for removal."
    UndocumentedParameter "undocumented-parameter" Undocumented "A parameter is sent that the description does not have."
    UndocumentedStatus "undocumented-status" Undocumented "A successful status or a redirect comes back that the description has neither itself, nor as a range such as 4XX, nor as `default`."
    UndocumentedError "undocumented-error" Informational "A status of 400 or above comes back that the description has neither itself, nor as a range such as 4XX, nor as `default`."
    UndocumentedRequestMediaType "undocumented-request-media-type" Undocumented "Requests come in a media type that the description does not have, or have a body where it has none."
    UndocumentedResponseMediaType "undocumented-response-media-type" Undocumented "Responses come in a media type that the description does not have for the status, or have a body where it has none."
    UndocumentedRequestProperty "undocumented-request-property" Undocumented "Requests carry a property that the description does not have."
    UndocumentedResponseProperty "undocumented-response-property" Undocumented "Responses carry a property that the description does not have: data that goes out and nobody decided on."
    UndocumentedCredential "undocumented-credential" Undocumented "Every call carries credentials of a kind that the description does not have."
    MissingCredential "missing-credential" Contradiction "The description demands credentials, and calls without them succeeded."
    ContradictoryType "contradictory-type" Contradiction "Values have a type that the description does not admit."
    ContradictoryNull "contradictory-null" Contradiction "Null is seen where the description does not admit it."
    ContradictoryValue "contradictory-value" Contradiction "A value is seen that is not in the description's enum."
    ContradictoryFormat "contradictory-format" Contradiction "Values have another format than the description says."
    ForbiddenProperty "forbidden-property" Contradiction "A property is seen that `additionalProperties: false` rules out."
    MissingProperty "missing-property" Contradiction "A property that the description calls required is not always there."
    MissingParameter "missing-parameter" Contradiction "A parameter that the description calls required is not always sent, and calls without it succeeded."
    UncertainOperation "uncertain-operation" Informational "The traffic shows one operation with a path parameter where the description has constants; which of them were called cannot be told."
    BasePathDiffers "base-path-differs" Informational "The traffic has the described paths below another base path than the description's servers; it was compared there."
}

impl Rule {
    /// Whether [`crate::drift`] finds it; otherwise [`crate::diff`] does.
    pub fn is_drift(self) -> bool {
        self >= Rule::ShadowOperation
    }

    /// The rule of an id.
    pub fn named(id: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.id() == id)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}
