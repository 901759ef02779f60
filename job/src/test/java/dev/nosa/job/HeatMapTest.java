package dev.nosa.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.awt.Color;
import java.awt.Rectangle;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HeatMapTest {
    @TempDir
    Path folder;

    /** All right in the first bin, half in the second, none in the third, of two lengths; the rest is empty. */
    private static ShareGrid grid() {
        List<Scored> answers = new ArrayList<>();
        for (int context : new int[] {2048, 4096}) {
            for (int i = 0; i < 4; i++) {
                answers.add(EvaluationTest.scored("a", "single", context, 0.05, true));
                answers.add(EvaluationTest.scored("b", "single", context, 0.15, i % 2 == 0));
                answers.add(EvaluationTest.scored("c", "single", context, 0.25, false));
            }
        }
        return new Evaluation(answers).byDepth();
    }

    private static int corner(BufferedImage image, int row, int column) {
        Rectangle cell = HeatMap.cell(row, column);
        return image.getRGB(cell.x + 3, cell.y + 3) & 0xffffff;
    }

    @Test
    void aCellHasTheColourOfItsShare() {
        BufferedImage image = HeatMap.draw(grid(), "title");
        for (int column = 0; column < 2; column++) {
            assertThat(corner(image, 0, column)).isEqualTo(0xfde725);
            assertThat(corner(image, 1, column)).isEqualTo(HeatMap.color(0.5).getRGB() & 0xffffff);
            assertThat(corner(image, 2, column)).isEqualTo(0x440154);
            assertThat(corner(image, 3, column)).isEqualTo(HeatMap.EMPTY.getRGB() & 0xffffff);
        }
    }

    @Test
    void theScaleGetsLighterWithTheShare() {
        double before = -1;
        for (int percent = 0; percent <= 100; percent++) {
            Color color = HeatMap.color(percent / 100.0);
            double lightness = 0.2126 * color.getRed() + 0.7152 * color.getGreen() + 0.0722 * color.getBlue();
            assertThat(lightness).isGreaterThan(before);
            before = lightness;
        }
    }

    @Test
    void theShareIsWrittenIntoTheCell() {
        BufferedImage image = HeatMap.draw(grid(), "title");
        Rectangle cell = HeatMap.cell(0, 0);
        int dark = 0;
        for (int y = cell.y; y < cell.y + cell.height; y++) {
            for (int x = cell.x; x < cell.x + cell.width; x++) {
                dark += (image.getRGB(x, y) & 0xffffff) == 0 ? 1 : 0;
            }
        }
        assertThat(dark).isGreaterThan(20);
    }

    @Test
    void thePictureHoldsAllCellsAndTheTitle() throws IOException {
        Path file = folder.resolve("map.png");
        HeatMap.write(grid(), "short", file);
        BufferedImage image = ImageIO.read(file.toFile());
        Rectangle last = HeatMap.cell(9, 1);
        assertThat(image.getWidth()).isGreaterThan(last.x + last.width + 80);
        assertThat(image.getHeight()).isGreaterThan(last.y + last.height + 40);
        assertThat(HeatMap.draw(grid(), "a long title ".repeat(10)).getWidth()).isGreaterThan(image.getWidth());
    }
}
