import BridgeCoreML
import BridgeKit

@main
struct Main {
    static func main() async {
        await Bridge(loader: CoreMLLoader(), engine: { WhisperKitEngine() }).run()
    }
}
