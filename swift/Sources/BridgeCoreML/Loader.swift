import BridgeKit
import Foundation

#if canImport(CoreML)
    @preconcurrency import CoreML

    /// Core ML itself, with the units that both frameworks give their large bundles.
    public struct CoreMLLoader: BundleLoader {
        public init() {}

        public func load(_ path: String) async throws {
            let bundle = URL(fileURLWithPath: path)
            guard bundle.pathExtension == "mlpackage" else {
                try await Self.open(bundle)
                return
            }
            // The compiled copy lies in a temporary folder that Core ML chose for us alone.
            let compiled = try await MLModel.compileModel(at: bundle)
            defer { try? FileManager.default.removeItem(at: compiled) }
            try await Self.open(compiled)
        }

        public func compile(_ path: String, to output: String) async throws {
            let compiled = try await MLModel.compileModel(at: URL(fileURLWithPath: path))
            do {
                try FileManager.default.moveItem(at: compiled, to: URL(fileURLWithPath: output))
            } catch {
                try? FileManager.default.removeItem(at: compiled)
                throw error
            }
        }

        private static func open(_ bundle: URL) async throws {
            let configuration = MLModelConfiguration()
            configuration.computeUnits = .cpuAndNeuralEngine
            _ = try await MLModel.load(contentsOf: bundle, configuration: configuration)
        }
    }
#else

    /// Where there is no Core ML: everything is refused.
    public struct CoreMLLoader: BundleLoader {
        public init() {}

        public func load(_ path: String) async throws {
            throw BridgeError.needsMac
        }

        public func compile(_ path: String, to output: String) async throws {
            throw BridgeError.needsMac
        }
    }
#endif
