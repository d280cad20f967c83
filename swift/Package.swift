// swift-tools-version: 6.0

import PackageDescription

// On a Mac the real frameworks, at the versions whose signatures `Tests/signatures.txt` quotes.
// Elsewhere no outside package is named and nothing is fetched; with BRIDGE_STUBS=1, modules of the
// same names stand in for the frameworks and for a Mac's own modules, so that the code for a Mac is
// compiled and run there, too.
#if os(macOS)
    let outside: [Package.Dependency] = [
        .package(url: "https://github.com/argmaxinc/argmax-oss-swift.git", exact: "1.1.0"),
        .package(url: "https://github.com/FluidInference/FluidAudio.git", exact: "0.15.6"),
    ]
    let whisperKit: [Target.Dependency] = [
        .product(name: "WhisperKit", package: "argmax-oss-swift")
    ]
    let fluidAudio: [Target.Dependency] = [.product(name: "FluidAudio", package: "FluidAudio")]
    let coreML: [Target.Dependency] = []
    let stubs: [Target] = []
    let darwin: [Target.Dependency] = []
    let system: [SwiftSetting] = []
#else
    let stubbed = Context.environment["BRIDGE_STUBS"] == "1"
    let outside: [Package.Dependency] = []
    let whisperKit: [Target.Dependency] = stubbed ? ["WhisperKit"] : []
    let fluidAudio: [Target.Dependency] = stubbed ? ["FluidAudio", "CoreML"] : []
    let coreML: [Target.Dependency] = stubbed ? ["CoreML"] : []
    let stubs: [Target] =
        stubbed
        ? [
            .target(name: "Darwin", path: "Tests/Stubs/Darwin"),
            .target(name: "CoreML", path: "Tests/Stubs/CoreML"),
            .target(name: "WhisperKit", dependencies: ["CoreML"], path: "Tests/Stubs/WhisperKit"),
            .target(name: "FluidAudio", dependencies: ["CoreML"], path: "Tests/Stubs/FluidAudio"),
        ] : []
    let darwin: [Target.Dependency] = stubbed ? ["Darwin"] : []
    let system: [SwiftSetting] = stubbed ? [.define("DARWIN_STANDINS")] : []
#endif

// What the frameworks mark as safe to share changes with Apple's SDK; in this mode a new mark is
// a warning and no error, on a Mac whose SDK nobody here has seen.
let beside: [SwiftSetting] = [.swiftLanguageMode(.v5)]

let package = Package(
    name: "cachedoctor-bridges",
    platforms: [.macOS(.v14)],
    products: [
        .executable(name: "whisperkit-bridge", targets: ["WhisperKitBridge"]),
        .executable(name: "fluidaudio-bridge", targets: ["FluidAudioBridge"]),
    ],
    dependencies: outside,
    targets: [
        .target(name: "BridgeKit", dependencies: darwin, swiftSettings: system),
        .target(name: "BridgeCoreML", dependencies: ["BridgeKit"] + coreML, swiftSettings: beside),
        .executableTarget(
            name: "WhisperKitBridge", dependencies: ["BridgeKit", "BridgeCoreML"] + whisperKit,
            swiftSettings: beside),
        .executableTarget(
            name: "FluidAudioBridge", dependencies: ["BridgeKit", "BridgeCoreML"] + fluidAudio,
            swiftSettings: beside),
        .testTarget(name: "BridgeKitTests", dependencies: ["BridgeKit"]),
    ] + stubs
)
