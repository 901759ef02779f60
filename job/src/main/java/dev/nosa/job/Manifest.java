package dev.nosa.job;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What a run is: kept in its folder, so that the same command goes on with it and another one is refused.
 *
 * @param run made up when it began
 * @param created UTC, ISO 8601
 * @param ids where the documents' ids come from
 * @param settings everything that changes results, by the name of its option
 * @param input the files of the input
 * @param plans the first, and one for every time that new rows were taken
 */
record Manifest(
        int version,
        String run,
        String created,
        DocumentIds.Kind ids,
        Map<String, String> settings,
        InputState input,
        List<WavePlan> plans) {
    static final int VERSION = 1;

    Manifest {
        settings = new TreeMap<>(settings);
        plans = List.copyOf(plans);
    }

    Manifest with(DocumentIds.Kind newIds, WavePlan plan) {
        List<WavePlan> all = new ArrayList<>(plans);
        all.add(plan);
        return new Manifest(version, run, created, newIds, settings, input, all);
    }

    List<Wave> waves() {
        List<Wave> waves = new ArrayList<>();
        for (int plan = 0; plan < plans.size(); plan++) {
            waves.addAll(plans.get(plan).waves(plan));
        }
        return waves;
    }

    /** {@code key (this value, now the other)} of every setting in which the two differ. */
    List<String> differences(Map<String, String> now) {
        List<String> differences = new ArrayList<>();
        TreeSet<String> keys = new TreeSet<>(settings.keySet());
        keys.addAll(now.keySet());
        for (String key : keys) {
            String before = settings.getOrDefault(key, "not set");
            String value = now.getOrDefault(key, "not set");
            if (!before.equals(value)) {
                differences.add(key + " (" + before + ", now " + value + ")");
            }
        }
        return differences;
    }
}
