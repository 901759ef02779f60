package dev.nosa.job;

import dev.nosa.backend.DeviceRates;
import dev.nosa.cache.DeviceMemory;
import dev.nosa.cache.KvLayout;
import dev.nosa.model.ModelConfig;
import dev.nosa.model.ModelShapes;
import dev.nosa.runner.DeviceBench;
import dev.nosa.schedule.DevicePlan;
import dev.nosa.sparse.AttentionMode;
import dev.nosa.sparse.WindowMath;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * {@code nosa bench --shape}: one mode of a model with random weights on a GPU.
 *
 * @param batch sequences; 0: as many as the memory holds
 * @param resident whether the device holds all of the KV cache
 * @param slots blocks of a sequence, layer and KV head; 0: what the memory holds
 * @param halves auto, always or never: whether a batch is computed in halves, one after the other
 * @param turnovers blocks replaced per head and step, one after the other; -1: what the random weights select
 */
record DeviceBenchRun(
        String shape,
        AttentionMode mode,
        int context,
        int newTokens,
        int repeats,
        int batch,
        boolean resident,
        int slots,
        long hostBytes,
        List<Integer> turnovers,
        List<String> halves) {
    private static final int STEP_TOKENS = 8192;

    /** Prints and keeps one measurement. */
    interface Report {
        void add(String what, String unit, double value, Map<String, Object> labels);
    }

    void run(Report report) {
        ModelConfig model = ModelShapes.of(shape);
        DeviceRates rates = DeviceBench.rates();
        Map<String, Object> gpu = Map.of("gpu", rates.gpu(), "driver", "CUDA " + rates.driver());
        report.add("device_memory", "gb_per_s", rates.memory() / 1e9, gpu);
        report.add("link_from_pinned_memory", "gb_per_s", rates.link() / 1e9, gpu);
        report.add("bf16_products", "tflop_per_s", rates.products() / 1e12, gpu);

        DevicePlan plan = plan(model);
        DeviceBench.Plan wanted = bench(plan.layout().slots());
        try (DeviceBench bench = new DeviceBench(model, mode, wanted, plan.maxBatch(), plan.pages())) {
            Map<String, Object> labels = new LinkedHashMap<>(gpu);
            labels.put("shape", shape);
            labels.put("mode", mode.configName());
            labels.put("context", context);
            labels.put("memory", resident ? "resident" : "offload");
            double speed = bench.prefill();
            labels.put("batch", 1);
            labels.put("floor_share", bench.prefillFloorSeconds(rates) * speed / context);
            report.add("prefill", "tokens_per_s", speed, labels);
            labels.remove("floor_share");
            bench.fork();
            labels.put("slots", plan.layout().slotsFor(wanted.maxTokens()));
            for (int turnover : turnovers) {
                for (String way : halves) {
                    DeviceBench.Decode decode =
                            bench.decode(turnover, way.equals("auto") ? null : way.equals("always"));
                    labels.put("halves", way);
                    labels.put("in_halves", decode.inHalves());
                    labels.put("batch", decode.batch());
                    labels.put("turnover", turnover < 0 ? "of random weights" : turnover);
                    labels.put("fetched", decode.fetched());
                    labels.put("ms", decode.millis());
                    labels.put("host_ms", decode.hostMillis());
                    double floor = bench.floorMillis(rates, decode.fetched());
                    labels.put("floor_ms", floor);
                    labels.put("floor_share", floor / decode.millis());
                    labels.put("link_bytes", decode.linkBytes());
                    labels.put("link_share", decode.linkBytes() / (decode.millis() / 1e3) / rates.link());
                    report.add("decode", "tokens_per_s", decode.tokensPerSecond(), labels);
                }
            }
            double gather = bench.gather();
            if (gather > 0) {
                Map<String, Object> shares = new LinkedHashMap<>(gpu);
                shares.put("link_share", gather / rates.link());
                report.add("gather", "gb_per_s", gather / 1e9, shares);
            }
        }
    }

    private DevicePlan plan(ModelConfig model) {
        int maxTokens = bench(0).maxTokens();
        int all = WindowMath.blocks(maxTokens, model.sparse());
        int least = model.sparse().maxBudget() + 1;
        int asked = resident ? Math.max(all, least) : slots;
        KvLayout layout = DeviceBench.layout(model, mode, asked == 0 ? least : asked);
        DeviceMemory memory = DeviceBench.memory(model, mode, layout.slots(), maxTokens);
        DevicePlan.Wishes wishes = new DevicePlan.Wishes(maxTokens, batch, STEP_TOKENS, asked, hostBytes, 0);
        return DevicePlan.of(layout, memory, wishes);
    }

    private DeviceBench.Plan bench(int slotCount) {
        return new DeviceBench.Plan(context, newTokens, repeats, slotCount, turnovers.size() * halves.size());
    }
}
