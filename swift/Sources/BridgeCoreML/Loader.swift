import BridgeKit
import Foundation

#if canImport(CoreML)
    @preconcurrency import CoreML

    /// Core ML itself, with the units that the engine gives the bundle.
    public struct CoreMLLoader: BundleLoader {
        public init() {}

        public func load(_ bundle: ModelBundle) async throws {
            let url = URL(fileURLWithPath: bundle.path)
            guard url.pathExtension == "mlpackage" else {
                _ = try await MLModel.load(url, bundle.units)
                return
            }
            // The compiled copy is in a temporary folder that Core ML chose for us alone.
            let compiled = try await MLModel.compileModel(at: url)
            defer { try? FileManager.default.removeItem(at: compiled) }
            _ = try await MLModel.load(compiled, bundle.units)
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
    }

    extension MLModel {
        /// Loads a compiled bundle to run on these units.
        public class func load(_ bundle: URL, _ units: Units) async throws -> MLModel {
            let configuration = MLModelConfiguration()
            configuration.computeUnits =
                switch units {
                case .cpuOnly: .cpuOnly
                case .cpuAndGPU: .cpuAndGPU
                case .cpuAndNeuralEngine: .cpuAndNeuralEngine
                case .all: .all
                }
            return try await MLModel.load(contentsOf: bundle, configuration: configuration)
        }
    }
#else

    /// Without Core ML, everything is refused.
    public struct CoreMLLoader: BundleLoader {
        public init() {}

        public func load(_ bundle: ModelBundle) async throws {
            throw BridgeError.needsMac
        }

        public func compile(_ path: String, to output: String) async throws {
            throw BridgeError.needsMac
        }
    }
#endif
